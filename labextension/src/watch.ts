/** Notifications about kernels: why one died or could not restart, and what a slow start waits for. */

import { Dialog, ISessionContext, Notification, showDialog } from '@jupyterlab/apputils';
import { Kernel } from '@jupyterlab/services';
import { Widget } from '@lumino/widgets';

import { Death, errorText, PickerApi } from './api';
import { deathText, startText } from './reports';

/** When to ask the server why a kernel ended, in milliseconds after the end; finding out can take a while. */
const LOOKS = [300, 2000, 6000];

/** Milliseconds between two looks at a slow start. */
const INTERVAL = 2000;

/** Milliseconds between two looks whether a job has ended, of which a kernel in it says nothing. */
const JOB_INTERVAL = 5000;

/** The provisioner of kernels in jobs. */
const IN_JOBS = 'spack-slurm-provisioner';

/** States in which a kernel has ended, or ends. */
const ENDED: readonly Kernel.Status[] = ['dead', 'autorestarting', 'restarting'];

export class KernelWatch {
  constructor(
    private readonly _api: Pick<PickerApi, 'deaths' | 'starts'>,
    private readonly _show: (hash: string) => void,
    private readonly _patience: () => number,
    private readonly _waiting: (text: string) => void
  ) {}

  /** Skip what happened before this page was opened. */
  async begin(): Promise<void> {
    const known = await this._api.deaths(0);
    this._last = Math.max(0, ...known.map(death => death.number));
  }

  /** Watch the kernels of a notebook or a console. */
  watch(context: ISessionContext): void {
    context.statusChanged.connect((_, status) => {
      if (ENDED.includes(status)) {
        this._look();
      }
    });
    context.connectionStatusChanged.connect(() => void this._watchStart(context));
    context.kernelChanged.connect(() => void this._watchStart(context));
    void this._watchStart(context);
    const timer = setInterval(() => {
      if (context.isDisposed) {
        clearInterval(timer);
      } else if (isInJob(context)) {
        void this._tell();
        void this._watchStart(context);
      }
    }, JOB_INTERVAL);
  }

  private _look(): void {
    for (const pause of LOOKS) {
      setTimeout(() => void this._tell(), pause);
    }
  }

  private async _tell(): Promise<void> {
    let deaths: Death[];
    try {
      deaths = await this._api.deaths(this._last);
    } catch {
      return; // the server is away, which JupyterLab says
    }
    for (const death of deaths.reverse()) {
      if (death.number <= this._last) {
        continue; // another look has told it
      }
      this._last = death.number;
      const [hash] = death.hash;
      const show = { label: 'Show the spec', callback: () => this._show(hash ?? '') };
      const all = {
        label: 'Details',
        callback: (event: MouseEvent) => {
          event.preventDefault(); // the notification stays
          void showDetails(death);
        }
      };
      Notification.error(deathText(death), {
        autoClose: false,
        actions: hash ? [all, show] : [all]
      });
    }
  }

  /** Say what a start waits for, from a few seconds on. */
  private async _watchStart(context: ISessionContext): Promise<void> {
    if (this._starting.has(context)) {
      return;
    }
    this._starting.add(context);
    let id = '';
    await pause(this._patience() * 1000);
    while (!context.isDisposed && (isStarting(context) || isInJob(context))) {
      const starts = await this._api.starts().catch(() => []);
      // A kernel in a job answers while the job waits.
      const start = isStarting(context)
        ? starts[0]
        : starts.find(each => each.kernel_id === context.session?.kernel?.id);
      if (!start) {
        break;
      }
      const message = startText(start);
      this._waiting(message);
      if (!id) {
        id = Notification.emit(message, 'in-progress', { autoClose: false });
      } else if (!Notification.update({ id, message })) {
        break; // the user has closed it
      }
      await pause(INTERVAL);
    }
    if (id) {
      Notification.dismiss(id);
    }
    this._waiting('');
    this._starting.delete(context);
  }

  private _last = 0;
  private readonly _starting = new Set<ISessionContext>();
}

async function showDetails(death: Death): Promise<void> {
  const body = new Widget({ node: document.createElement('pre') });
  body.node.textContent = errorText(death.error);
  await showDialog({ title: 'Why the kernel ended', body, buttons: [Dialog.okButton()] });
}

function isInJob(context: ISessionContext): boolean {
  const { kernelspecs } = context.specsManager.specs ?? {};
  const { metadata } = kernelspecs?.[context.session?.kernel?.name ?? ''] ?? {};
  const stanza = metadata?.kernel_provisioner as { provisioner_name?: unknown } | undefined;
  return stanza?.provisioner_name === IN_JOBS;
}

function isStarting(context: ISessionContext): boolean {
  const status = context.kernelDisplayStatus;
  return ['initializing', 'connecting', 'starting', 'restarting', 'unknown'].includes(status);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}
