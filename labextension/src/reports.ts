/** What notifications say of kernels that died, and of those that start slowly. */

import { Death, Start } from './api';

/** Return what a notification says of a death: JupyterLab shows at most 140 characters. */
export function deathText(death: Death): string {
  const [first, ...others] = death.spec;
  const named = `${first ?? 'A Spack kernel'}${others.length ? ` and ${others.length} more` : ''}`;
  const { summary, details } = death.error;
  if (death.action === 'refuse') {
    return `${named} could not be started: ${summary}`;
  }
  const cause = summary.slice(summary.lastIndexOf(': ') + 1).trim();
  const printed = details.filter(line => line.trim().startsWith('|'));
  const last = (printed[printed.length - 1] ?? '').trim();
  return `${named} ended: ${cause}${last ? `\n${last}` : ''}`;
}

/** Return what a notification says of a start. */
export function startText(start: Start): string {
  const what = start.phase === 'planning' ? 'reading the store and planning' : 'the kernel to answer';
  const seconds = Math.round(start.seconds);
  if (start.detail) {
    return `Starting ${start.spec || 'a Spack kernel'}. ${start.detail}`;
  }
  return `Starting ${start.spec || 'a Spack kernel'}: waiting for ${what}, ${seconds} s so far`;
}
