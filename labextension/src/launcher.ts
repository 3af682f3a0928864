/** The launcher: of thousands of kernels it shows those that are kept, and the recent ones. */

import { ILauncher } from '@jupyterlab/launcher';
import { KernelSpec } from '@jupyterlab/services';

import { UserKernel } from './api';

export const NOTEBOOK_KERNEL = 'spack-notebook';

export interface LauncherOptions {
  /** The kernelspecs of the server. */
  specs: () => KernelSpec.ISpecModels | null;
  /** The kernels that the user has chosen. */
  kernels: () => readonly UserKernel[];
  /** How many recent kernels are shown. */
  recent: () => number;
  /** Whether all kernels are shown. */
  all: () => boolean;
}

/** Return whether the launcher shows a kernel. */
export function isShown(name: string, options: LauncherOptions): boolean {
  if (name === NOTEBOOK_KERNEL) {
    return false; // a launcher has no notebook that could name a spec
  }
  if (options.all()) {
    return true;
  }
  const kernels = options.kernels();
  const kernel = kernels.find(each => each.name === name);
  if (kernel) {
    const recent = kernels.filter(each => !each.kept && !each.config.from_notebook);
    return kernel.kept || recent.indexOf(kernel) < options.recent();
  }
  return options.specs()?.kernelspecs[name]?.metadata?.spack_discovered !== true;
}

/** Leave kernels out of a launcher. Other launchers than JupyterLab's own are left alone. */
export function filterLauncher(launcher: ILauncher, options: LauncherOptions): void {
  const model = launcher as Partial<ILauncher.IModel>;
  if (typeof model.items !== 'function') {
    return;
  }
  const items = model.items.bind(launcher);
  model.items = () => {
    const shown = Array.from(items()).filter(item => {
      const name = kernelOf(item);
      return name === '' || isShown(name, options);
    });
    return shown[Symbol.iterator]();
  };
}

/** Return the kernel that an item starts; empty if it starts none. */
function kernelOf(item: ILauncher.IItemOptions): string {
  const { kernelName, kernelPreference } = item.args ?? {};
  const preferred = (kernelPreference as { name?: unknown } | undefined)?.name;
  const name = kernelName ?? preferred;
  return typeof name === 'string' ? name : '';
}
