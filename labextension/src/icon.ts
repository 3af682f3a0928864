/** The icon: stacked prefixes. */

import { LabIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
<g class="jp-icon3" fill="#616161">
<path d="M12 2 2 7l10 5 10-5z"/><path d="m4.2 10.9-2.2 1.1 10 5 10-5-2.2-1.1L12 14.8z"/>
<path d="m4.2 15.9-2.2 1.1 10 5 10-5-2.2-1.1L12 19.8z"/>
</g></svg>`;

/** The icon for a card of the launcher, which shows images and not icons. */
export const ICON_URL = `data:image/svg+xml,${encodeURIComponent(SVG.replace(/#616161/g, '#0f3a80'))}`;

export const spackIcon = new LabIcon({ name: 'spack-kernel:spack', svgstr: SVG });
