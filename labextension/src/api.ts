/** The REST interface of the server extension; `openapi.json` of the Python package describes it. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

export interface Row {
  name: string;
  version: string;
  hash: string;
  difference: string;
  variants: string;
  compiler: string;
  target: string;
  python: string;
  store: string;
  explicit: boolean;
  external: boolean;
  ipykernel: '' | 'closure' | 'interpreter' | 'companion';
  ipykernel_version: string;
  kernels: string[];
  why_not: string;
}

export interface Group {
  package: string;
  count: number;
  found_by: 'query' | 'name' | 'module' | 'favourite';
  rows: Row[];
}

export interface ErrorModel {
  code: string;
  summary: string;
  details: string[];
  hint: string;
  position?: number;
  length?: number;
}

export interface Results {
  text: string;
  meant: string;
  total: number;
  installed: number;
  groups: Group[];
  cursor: string;
  notes: string[];
  error: ErrorModel | null;
  explained: boolean;
}

export interface Completion {
  text: string;
  kind: 'package' | 'version' | 'variant' | 'value' | 'hash';
  detail: string;
}

export interface Completions {
  start: number;
  end: number;
  items: Completion[];
}

export interface TreeNode {
  name: string;
  version: string;
  hash: string;
  prefix: string;
  external: boolean;
  dependencies: string[];
}

export interface Plan {
  store: string;
  interpreter: string | null;
  python: { version: string; spec: string; reason: string } | null;
  ipykernel: { from: string; version: string; reason: string } | null;
  argv: string[];
  modifications: {
    operation: string;
    variable: string;
    value: string;
    spec: string | null;
    reason: string;
  }[];
  pythonpath_entries: { path: string; spec: string; origin: string; reason: string }[];
  notes: { topic: string; text: string }[];
  overrides: { package: string; used: string; unused: string }[];
}

export interface Preview {
  title: string;
  roots: string[];
  nodes: TreeNode[];
  plan: Plan | null;
  error: ErrorModel | null;
  commands: { load?: string; exec?: string; install?: string };
  front_end: { name: string; version: string; spec: string }[];
}

export interface Environment {
  name: string;
  directory: string;
  roots: { query: string; hash: string; installed: boolean }[];
  views: Record<string, string>;
  python: string | null;
  why_not: string | null;
}

export interface UserKernel {
  name: string;
  display_name: string;
  kept: boolean;
  used: number;
  metadata: Record<string, string>;
  config: {
    spec?: string;
    hash?: string;
    specs?: string[];
    environment?: string;
    view?: string;
    from_notebook?: boolean;
    slurm?: Record<string, string | number | boolean>;
    job_id?: string | number;
  };
}

export interface Death {
  number: number;
  kernel_id: string;
  action: 'die' | 'refuse';
  spec: string[];
  hash: string[];
  exit_status: number | null;
  signal: string;
  error: ErrorModel;
}

export interface Start {
  kernel_id: string;
  spec: string;
  phase: 'planning' | 'waiting' | 'starting';
  seconds: number;
  detail: string;
}

export interface Health {
  version: string;
  stores: string[];
  why_not: string;
  /** The options of a job that can be asked for; null if there is no Slurm. */
  slurm: JobField[] | null;
}

/** An option of a job, by the long name that sbatch has for it. */
export interface JobField {
  name: string;
  value: string;
  choices: string[];
  most: string;
  locked: boolean;
}

/** What a user has chosen to start: specs, or a Spack environment, or a view. */
export interface Choice {
  queries: string[];
  environment: string;
  view: string;
  store: number;
  /** The kernel of the user that starts it, if there is one: it is planned as it is recorded. */
  kernel: UserKernel | null;
  /** The options of the job in which it runs; null to run on the machine of the server. */
  slurm: Record<string, string> | null;
}

/** Return all lines of an error as one text. */
export function errorText({ summary, details, hint }: ErrorModel): string {
  return [summary, ...details, hint].filter(line => line).join('\n');
}

/** An error of the server, with what its error object says. */
export class PickerError extends Error {
  constructor(readonly model: ErrorModel) {
    super(errorText(model));
    this.name = 'PickerError';
  }
}

/** The client of the REST interface. */
export class PickerApi {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  health(): Promise<Health> {
    return this._get('health', {});
  }

  /** Search; `explain` also says why nothing is found, which takes longer. */
  search(text: string, cursor: string, store: number, explain: boolean): Promise<Results> {
    return this._get('search', { text, cursor, store, explain: explain ? 1 : 0 });
  }

  complete(
    text: string,
    position: number,
    store: number,
    signal?: AbortSignal
  ): Promise<Completions> {
    return this._get('complete', { text, position, store }, signal);
  }

  plan(choice: Choice, signal?: AbortSignal): Promise<Preview> {
    const { queries, environment, view, store, kernel } = choice;
    if (kernel) {
      return this._get('plan', { kernel: kernel.name, store }, signal);
    }
    return this._get('plan', { query: queries, environment, view, store }, signal);
  }

  environments(store: number): Promise<Environment[]> {
    return this._get('environments', { store });
  }

  kernels(): Promise<UserKernel[]> {
    return this._get('kernels', {});
  }

  addKernel(choice: Choice, keep: boolean): Promise<UserKernel> {
    const { queries, environment, view, store, kernel, slurm } = choice;
    const chosen =
      kernel && !slurm ? { kernel: kernel.name } : { queries, environment, view, slurm };
    return this._send('POST', 'kernels', { ...chosen, store, keep });
  }

  addNotebookKernel(): Promise<UserKernel> {
    return this._send('POST', 'kernels', { from_notebook: true });
  }

  removeKernel(name: string): Promise<UserKernel> {
    return this._send('DELETE', `kernels/${encodeURIComponent(name)}`);
  }

  deaths(after: number, kernelId = ''): Promise<Death[]> {
    return this._get('deaths', { after, kernel_id: kernelId });
  }

  starts(): Promise<Start[]> {
    return this._get('starts', {});
  }

  private _get<T>(
    path: string,
    query: Record<string, string | number | string[]>,
    signal?: AbortSignal
  ): Promise<T> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const each of Array.isArray(value) ? value : [value]) {
        if (each !== '') {
          parameters.append(name, String(each));
        }
      }
    }
    return this._request(`${path}?${parameters.toString()}`, { method: 'GET', signal });
  }

  private _send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    return this._request(path, { method, ...content });
  }

  private async _request<T>(path: string, init: RequestInit): Promise<T> {
    const url = URLExt.join(this._settings.baseUrl, 'spack-kernel', path);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch (error) {
      if (init.signal?.aborted) {
        throw error;
      }
      throw new PickerError({
        code: 'network',
        summary: 'the server does not answer',
        details: [],
        hint: 'Check whether it is still running; your session may have ended.'
      });
    }
    const text = await response.text();
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch {
      content = {};
    }
    if (response.ok) {
      return content as T;
    }
    const told = (content as { error?: ErrorModel }).error;
    throw new PickerError(
      told ?? {
        code: 'http',
        summary: `the server answers ${response.status} ${response.statusText}`,
        details: [],
        hint:
          response.status === 404
            ? 'The server extension spack_kernel may be disabled: `jupyter server extension list`.'
            : ''
      }
    );
  }
}
