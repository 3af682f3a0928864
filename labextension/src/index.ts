/** The plugin: the panel, its commands, and what it adds to launcher, notebooks and consoles. */

import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  IToolbarWidgetRegistry,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { ICodeCellModel } from '@jupyterlab/cells';
import { IConsoleTracker } from '@jupyterlab/console';
import { PathExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { JSONObject } from '@lumino/coreutils';

import { errorText, PickerApi, Preview, UserKernel } from './api';
import { Chosen, chosenHash, pinFor, pinOf } from './choices';
import { ICON_URL, spackIcon } from './icon';
import { filterLauncher } from './launcher';
import { modelOf, PickerModel } from './model';
import { PickerPanel } from './panel';
import { Acts } from './preview';
import { SpecButton, specOfNotebook } from './toolbar';
import { KernelWatch } from './watch';

const CHOOSE = 'spack-kernel:choose';

/** What users set; see `schema/picker.json`. */
const settings = { launcherRecent: 4, launcherAll: false, slowStart: 4 };

/** Tell the user of an error. */
function tell(error: unknown): void {
  Notification.error(errorText(modelOf(error)), { autoClose: false });
}

/** Tell the user that something is done. */
function say(message: string): void {
  Notification.success(message, { autoClose: 5000 });
}

function fileName(notebook: NotebookPanel): string {
  return PathExt.basename(notebook.context.path);
}

/** Ask before a kernel is replaced in which something was run. */
async function mayRestart(notebook: NotebookPanel, name: string): Promise<boolean> {
  const { cells } = notebook.content.model ?? {};
  const kernel = notebook.sessionContext.session?.kernel;
  const hasRun = Array.from(cells ?? []).some(
    cell => cell.type === 'code' && (cell as ICodeCellModel).executionCount !== null
  );
  if (!kernel || !hasRun) {
    return true;
  }
  const answer = await showDialog({
    title: 'Replace the kernel?',
    body: `The variables in the kernel of ${name} will be lost.`,
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Replace' })]
  });
  return answer.button.accept;
}

/** The picker in one page: it starts kernels, and changes notebooks through their models. */
class Picker {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _notebooks: INotebookTracker | null
  ) {
    this.api = new PickerApi(_app.serviceManager.serverSettings);
    this.model = new PickerModel(this.api);
    this.panel = new PickerPanel(this.model, () => this.acts());
    _notebooks?.currentChanged.connect(() => this.panel.update());
  }

  readonly api: PickerApi;
  readonly model: PickerModel;
  readonly panel: PickerPanel;

  /** Show the panel, with a text in its search box if one is given. */
  open(text?: string, notice = ''): void {
    const { shell } = this._app;
    if (!this.panel.isAttached) {
      shell.add(this.panel, 'left', { rank: 350, type: 'Spack' });
    }
    this.model.notice = notice;
    if (text !== undefined) {
      this.model.setText(text);
    }
    this.panel.update();
    shell.activateById(this.panel.id);
  }

  /** What can be done with what is chosen, now. */
  acts(): Acts {
    const notebook = this._notebook();
    const { commands } = this._app;
    const name = notebook ? fileName(notebook) : '';
    return {
      startNotebook: chosen =>
        void this._with(chosen, kernel =>
          commands.execute('notebook:create-new', { kernelName: kernel.name })
        ),
      startConsole: chosen =>
        void this._with(chosen, kernel =>
          commands.execute('console:create', {
            activate: true,
            kernelPreference: { name: kernel.name }
          })
        ),
      ...(notebook && {
        use: {
          label: `Use in ${name}`,
          act: chosen => void this._with(chosen, kernel => this._use(notebook, kernel))
        },
        pin: {
          label: `Pin to ${name}`,
          act: (chosen, preview) => void this._pin(notebook, chosen, preview)
        }
      }),
      keep: chosen => void this._keep(chosen),
      remove: chosen => void this._remove(chosen)
    };
  }

  private _notebook(): NotebookPanel | null {
    const current = this._notebooks?.currentWidget ?? null;
    return current?.isDisposed ? null : current;
  }

  /** Do something with the kernel of what is chosen, which is one of the user's from then on. */
  private async _with(
    chosen: Chosen,
    act: (kernel: UserKernel) => Promise<unknown>
  ): Promise<void> {
    try {
      const kernel = await this.api.addKernel(chosen, false);
      await this._known();
      await act(kernel);
    } catch (error) {
      tell(error);
    }
  }

  private async _use(notebook: NotebookPanel, kernel: UserKernel): Promise<void> {
    const name = fileName(notebook);
    if (!(await mayRestart(notebook, name))) {
      return;
    }
    if (notebook.model?.getMetadata('spack') !== undefined) {
      notebook.model.deleteMetadata('spack');
      say(`${name} is no longer pinned.`);
    }
    await notebook.sessionContext.changeKernel({ name: kernel.name });
  }

  private async _pin(notebook: NotebookPanel, chosen: Chosen, preview: Preview): Promise<void> {
    const roots = preview.nodes.filter(node => preview.roots.includes(node.hash));
    const entry = pinFor(chosen, roots);
    if (!entry) {
      return;
    }
    const name = fileName(notebook);
    const running = specOfNotebook(notebook, this._app.serviceManager.kernelspecs.specs);
    const [root] = preview.roots;
    // What runs the same spec already keeps running.
    const isSame = preview.roots.length === 1 && running.endsWith(`/${root?.slice(0, 7)}`);
    if (!isSame && !(await mayRestart(notebook, name))) {
      return;
    }
    try {
      const kernel = await this.api.addNotebookKernel();
      await this._known();
      notebook.model?.setMetadata('spack', entry);
      notebook.model?.setMetadata('kernelspec', {
        display_name: kernel.display_name,
        language: 'python',
        name: kernel.name
      });
      // The kernel reads the spec from the file.
      await notebook.context.save();
      if (!isSame) {
        await notebook.sessionContext.changeKernel({ name: kernel.name });
      }
      say(`${name} is pinned to ${preview.title}.`);
    } catch (error) {
      tell(error);
    }
  }

  private async _keep(chosen: Chosen): Promise<void> {
    try {
      const kernel = await this.api.addKernel(chosen, true);
      await this._known();
      this.model.choose({ ...chosen, kernel });
      say(`${kernel.display_name} is now a kernel of yours.`);
    } catch (error) {
      tell(error);
    }
  }

  private async _remove(chosen: Chosen): Promise<void> {
    if (!chosen.kernel) {
      return;
    }
    try {
      const kernel = await this.api.removeKernel(chosen.kernel.name);
      await this._known();
      // What it was made of is planned again only if it is of the chosen store.
      const stores = this.model.health?.stores ?? [];
      const isHere = stores.length < 2 || stores[chosen.store] === kernel.metadata.spack_store;
      this.model.choose(isHere ? { ...chosen, kernel: null } : null);
      const what = kernel.kept ? 'is no longer a kernel of yours' : 'is forgotten';
      say(`${kernel.display_name} ${what}.`);
    } catch (error) {
      tell(error);
    }
  }

  /** Make the page know the kernels that the server knows. */
  private async _known(): Promise<void> {
    await Promise.all([
      this._app.serviceManager.kernelspecs.refreshSpecs(),
      this.model.refreshKernels()
    ]);
  }

  /** Open the picker for a notebook whose spec is not installed, with the nearest specs. */
  async check(notebook: NotebookPanel): Promise<void> {
    await notebook.context.ready;
    const pin = pinOf(notebook.model?.getMetadata('spack') as JSONObject | undefined);
    for (const query of pin?.queries ?? []) {
      const found = await this.api.search(query, '', 0, false);
      if (found.total > 0 && !found.meant) {
        continue;
      }
      const [name] = (pin?.title ?? '').split(/[@/ ]/);
      const path = fileName(notebook);
      const near = name ? (await this.api.search(name, '', 0, false)).total : 0;
      if (this.model.store !== 0) {
        this.model.setStore(0); // the one in which the notebook's kernel looks
      }
      this.open(
        name,
        `${path} needs ${pin?.title ?? query}, which is not installed here. ` +
          (near
            ? 'These are the nearest specs: pin the notebook to one of them, or ask for the other to be installed.'
            : 'No other build of it is installed either: ask for it to be installed.')
      );
      return;
    }
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'spack-kernel:picker',
  description: 'Find an installed Spack spec and compute in it.',
  autoStart: true,
  optional: [
    ICommandPalette,
    ILauncher,
    ILayoutRestorer,
    ILabShell,
    INotebookTracker,
    IConsoleTracker,
    IToolbarWidgetRegistry,
    ISettingRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    restorer: ILayoutRestorer | null,
    labShell: ILabShell | null,
    notebooks: INotebookTracker | null,
    consoles: IConsoleTracker | null,
    toolbar: IToolbarWidgetRegistry | null,
    registry: ISettingRegistry | null
  ) => {
    const picker = new Picker(app, notebooks);
    const { kernelspecs } = app.serviceManager;
    const specs = () => kernelspecs.specs;

    app.commands.addCommand(CHOOSE, {
      label: args => (args.isLauncher ? 'Spack…' : 'Spack: choose a kernel…'),
      caption: 'Find an installed Spack spec and compute in it',
      icon: args => (args.isPalette ? undefined : spackIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            text: { type: 'string', description: 'What to search for' },
            isLauncher: { type: 'boolean' },
            isPalette: { type: 'boolean' }
          }
        }
      },
      execute: args => {
        const text = args.text;
        picker.open(typeof text === 'string' ? text : undefined);
      }
    });
    palette?.addItem({ command: CHOOSE, category: 'Kernel', args: { isPalette: true } });
    toolbar?.addFactory<NotebookPanel>(
      'Notebook',
      'spack-kernel',
      panel => new SpecButton(panel, specs, () => picker.open())
    );
    if (labShell) {
      labShell.add(picker.panel, 'left', { rank: 350, type: 'Spack' });
      restorer?.add(picker.panel, picker.panel.id);
    }

    if (launcher) {
      filterLauncher(launcher, {
        specs,
        kernels: () => picker.model.kernels,
        recent: () => settings.launcherRecent,
        all: () => settings.launcherAll
      });
      launcher.add({
        command: CHOOSE,
        category: 'Notebook',
        rank: 1,
        kernelIconUrl: ICON_URL,
        args: { isLauncher: true }
      });
      picker.model.changed.connect(() => {
        const { stateChanged } = launcher as Partial<ILauncher.IModel>;
        const kernels = picker.model.kernels;
        if (stateChanged && kernels !== shownKernels) {
          shownKernels = kernels;
          (stateChanged as unknown as { emit: (args: undefined) => void }).emit(undefined);
        }
      });
    }
    let shownKernels: UserKernel[] = [];

    void registry?.load(plugin.id).then(loaded => {
      const update = () => Object.assign(settings, loaded.composite);
      loaded.changed.connect(update);
      update();
    });

    const show = (hash: string) => {
      picker.open(`/${hash}`);
      picker.model.choose(chosenHash(hash, picker.model.store));
    };
    const watch = new KernelWatch(
      picker.api,
      show,
      () => settings.slowStart,
      text => picker.model.setWaiting(text)
    );
    void app.serviceManager.ready
      .then(() => picker.api.health())
      .then(async health => {
        if (health.why_not) {
          return;
        }
        await watch.begin();
        await picker.model.refreshKernels();
        const look = (panel: NotebookPanel) => {
          watch.watch(panel.sessionContext);
          void picker.check(panel).catch(() => undefined);
        };
        notebooks?.forEach(look);
        notebooks?.widgetAdded.connect((_, panel) => look(panel));
        consoles?.forEach(panel => watch.watch(panel.sessionContext));
        consoles?.widgetAdded.connect((_, panel) => watch.watch(panel.sessionContext));
      })
      .catch(() => {
        console.warn('spack-kernel: the server extension does not answer');
      });
  }
};

export default plugin;
