/** The button in a notebook's tool bar: the spec behind its kernel, and the way to another. */

import { NotebookPanel } from '@jupyterlab/notebook';
import { KernelSpec } from '@jupyterlab/services';
import { ReactWidget, ToolbarButtonComponent } from '@jupyterlab/ui-components';
import { JSONObject } from '@lumino/coreutils';
import * as React from 'react';

import { pinOf, specOfKernelSpec } from './choices';
import { spackIcon } from './icon';
import { NOTEBOOK_KERNEL } from './launcher';

/** Return the spec behind the kernel of a notebook; empty if it has none. */
export function specOfNotebook(
  panel: NotebookPanel,
  specs: KernelSpec.ISpecModels | null
): string {
  const name = panel.sessionContext.session?.kernel?.name ?? '';
  if (name === NOTEBOOK_KERNEL) {
    return pinOf(panel.model?.getMetadata('spack') as JSONObject | undefined)?.title ?? '';
  }
  const metadata = specs?.kernelspecs[name]?.metadata as JSONObject | undefined;
  return specOfKernelSpec(metadata);
}

export class SpecButton extends ReactWidget {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _specs: () => KernelSpec.ISpecModels | null,
    private readonly _open: () => void
  ) {
    super();
    this.addClass('spack-kernel-button');
    const update = () => this.update();
    _panel.sessionContext.kernelChanged.connect(update);
    _panel.sessionContext.statusChanged.connect(update);
    void _panel.context.ready.then(() => {
      _panel.model?.metadataChanged.connect(update);
      update();
    });
  }

  protected render(): React.JSX.Element {
    const spec = specOfNotebook(this._panel, this._specs());
    const hash = spec.split('/').pop() ?? '';
    // The kernel's name stands beside it, and usually says the same.
    const isSaid = spec !== '' && this._panel.sessionContext.kernelDisplayName.includes(`/${hash}`);
    return (
      <ToolbarButtonComponent
        icon={spackIcon}
        label={isSaid ? '' : spec}
        tooltip={spec ? `Spack: ${spec}. Choose another kernel…` : 'Spack: choose a kernel…'}
        onClick={this._open}
      />
    );
  }
}
