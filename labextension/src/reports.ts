/** What notifications say of kernels that died, and of those that start slowly. */

import { Death, Start } from './api';

/** Return what a notification says of a death. */
export function deathText(death: Death): string {
  const { summary, details, hint } = death.error;
  const named = death.spec.length ? ` (${death.spec.join(', ')})` : '';
  const lead = death.action === 'die' ? '' : `A kernel could not be started${named}: `;
  return [lead + summary, ...details.slice(-8), hint].filter(line => line).join('\n');
}

/** Return what a notification says of a start. */
export function startText(start: Start): string {
  const what = start.phase === 'planning' ? 'reading the store and planning' : 'the kernel to answer';
  const seconds = Math.round(start.seconds);
  return `Starting ${start.spec || 'a Spack kernel'}: waiting for ${what}, ${seconds} s so far`;
}
