/** The state of the picker. It asks the server, one search at a time, and the newest text wins. */

import { ISignal, Signal } from '@lumino/signaling';

import {
  Completions,
  Environment,
  ErrorModel,
  Health,
  PickerApi,
  PickerError,
  Preview,
  Results,
  Row,
  UserKernel
} from './api';
import { Chosen, chosenSpecs } from './choices';
import { rememberOptions } from './place';
import { asPath, isUnfinished } from './query';
import { appended, ListRow, listRows } from './rows';
import { recall, remember } from './storage';

/** Milliseconds after which an error at the end of the text is shown: the user has stopped. */
const TYPING = 400;

/** Milliseconds to wait after that before asking why nothing was found, which can take a second. */
const EXPLAIN = 400;

/** Milliseconds between two attempts to read a store. */
const RETRY = 5000;

/** The part of the REST client that the model uses; tests replace it. */
export type Server = Pick<
  PickerApi,
  'health' | 'search' | 'complete' | 'plan' | 'environments' | 'kernels'
>;

export class PickerModel {
  constructor(private readonly _server: Server) {}

  /** Emitted when anything has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  text = '';
  store = remembered();
  health: Health | null = null;
  results: Results | null = null;
  /** Why the last question was not answered: the store hangs, the server is away. */
  failure: ErrorModel | null = null;
  /** The message above the list that explains why the picker opened by itself. */
  notice = '';
  /** What a kernel that is being started waits for. */
  waiting = '';
  isBusy = false;
  rows: ListRow[] = [];
  /** The row that the keys move, and -1 for none. */
  active = -1;
  completions: Completions | null = null;
  activeCompletion = 0;
  chosen: Chosen | null = null;
  preview: Preview | null = null;
  previewFailure: ErrorModel | null = null;
  /** The specs that are to be loaded together. */
  together: Row[] = [];

  /** The error in the text, if it is to be shown. */
  get queryError(): ErrorModel | null {
    const isAnswered = this.results?.text === this.text && !asPath(this.text);
    const error = isAnswered ? (this.results?.error ?? null) : null;
    const isGoingOn = this._isTyping || this.completions !== null;
    return error && isGoingOn && isUnfinished(this.text, error) ? null : error;
  }

  /** Read everything again: the list of stores, the kernels, the environments, the results. */
  async refresh(): Promise<void> {
    const search = this._search();
    await Promise.all([this._refreshHealth(), this.refreshKernels(), search]);
    await this._refreshEnvironments();
  }

  async refreshKernels(): Promise<void> {
    try {
      this.kernels = await this._server.kernels();
    } catch (error) {
      this.kernels = [];
      this._fail(error);
    }
    this._update();
  }

  setText(text: string): void {
    if (text !== this.text) {
      this.choose(null); // it would stand below results that do not have it
    }
    this.text = text;
    this.active = -1;
    clearTimeout(this._typing);
    this._isTyping = !asPath(text);
    if (!this._isTyping) {
      this._update(); // a search for specs would find nothing
      return;
    }
    this._typing = setTimeout(() => {
      this._isTyping = false;
      this._changed.emit();
      this._typing = setTimeout(() => void this._explain(), EXPLAIN);
    }, TYPING);
    this._changed.emit();
    void this._search();
  }

  setStore(store: number): void {
    remember(STORE_KEY, String(store));
    this.store = store;
    this.results = null;
    this.environments = [];
    this.choose(null);
    this._update();
    void this._search();
    void this._refreshEnvironments();
  }

  setActive(active: number): void {
    this.active = active;
    this._changed.emit();
  }

  /** Ask for the next page of the results; several calls ask once. */
  async more(): Promise<void> {
    const results = this.results;
    if (!results?.cursor || this._paging) {
      return;
    }
    this._paging = true;
    try {
      const page = await this._server.search(results.text, results.cursor, this.store, false);
      if (this.results === results) {
        this.results = appended(results, page);
      }
    } catch (error) {
      this._fail(error);
    } finally {
      this._paging = false;
    }
    this._update();
  }

  /** Ask what can follow at a position of the text, in characters. */
  async complete(position: number): Promise<void> {
    this._completing?.abort();
    this._completing = new AbortController();
    const { signal } = this._completing;
    const text = this.text;
    try {
      const found = await this._server.complete(text, position, this.store, signal);
      if (!signal.aborted && text === this.text) {
        const [only, ...others] = found.items;
        const typed = Array.from(text).slice(found.start, found.end).join('');
        const isDone = only?.text === typed && !others.length;
        this.completions = only && !isDone ? found : null;
        this.activeCompletion = -1;
      }
    } catch {
      this.completions = null; // the search tells what is wrong
    }
    this._changed.emit();
  }

  closeCompletions(): void {
    this._completing?.abort();
    if (this.completions) {
      this.completions = null;
      this._changed.emit();
    }
  }

  /** Choose something to look at, or nothing. */
  choose(chosen: Chosen | null): void {
    this._previewing?.abort();
    this.chosen = chosen;
    this.preview = this.previewFailure = null;
    this._changed.emit();
    if (chosen) {
      this._previewing = new AbortController();
      void this._preview(chosen, this._previewing.signal);
    }
  }

  setWaiting(text: string): void {
    if (text !== this.waiting) {
      this.waiting = text;
      this._changed.emit();
    }
  }

  /** Choose where it runs: in a job with these options, or here. */
  setJob(slurm: Record<string, string> | null): void {
    if (this.chosen) {
      rememberOptions(slurm);
      this.chosen = { ...this.chosen, slurm };
      this._changed.emit();
    }
  }

  /** Add a spec to those that are loaded together, or take it away. */
  toggle(spec: Row): void {
    const others = this.together.filter(each => each.hash !== spec.hash);
    this.together = others.length < this.together.length ? others : [...others, spec];
    if (this.together.length) {
      this.choose(chosenSpecs(this.together, this.store));
    } else {
      this.choose(null);
    }
  }

  kernels: UserKernel[] = [];
  environments: Environment[] = [];

  dispose(): void {
    clearTimeout(this._typing);
    clearTimeout(this._retry);
    this._completing?.abort();
    this._previewing?.abort();
    Signal.clearData(this);
  }

  private async _search(): Promise<void> {
    if (this.isBusy || asPath(this.text)) {
      return; // the search in progress goes on with the newest text
    }
    clearTimeout(this._retry);
    this.isBusy = true;
    let asked: string | null = null;
    let store = -1;
    while (asked !== this.text || store !== this.store) {
      asked = this.text;
      store = this.store;
      try {
        const results = await this._server.search(asked, '', store, false);
        if (store === this.store) {
          this.results = results;
          this.failure = null;
        }
      } catch (error) {
        this._fail(error);
        this.results = null; // they are of another text, or of another state of the store
        this._retry = setTimeout(() => void this._search(), RETRY);
      }
      this._update();
    }
    this.isBusy = false;
    this._update();
    if (!this._isTyping) {
      void this._explain();
    }
  }

  /** Ask why nothing was found, once the user has stopped typing; the next key does not wait. */
  private async _explain(): Promise<void> {
    const { results, text, store } = this;
    if (this._isTyping || this.isBusy || asPath(text) || results?.text !== text || results.explained) {
      return;
    }
    try {
      const explained = await this._server.search(text, '', store, true);
      if (this.results === results && text === this.text && store === this.store) {
        this.results = explained;
      }
    } catch (error) {
      this._fail(error);
    }
    this._update();
  }

  private async _refreshHealth(): Promise<void> {
    try {
      this.health = await this._server.health();
      if (this.store >= this.health.stores.length) {
        this.setStore(0);
      }
    } catch (error) {
      this._fail(error);
    }
    this._changed.emit();
  }

  private async _refreshEnvironments(): Promise<void> {
    const store = this.store;
    try {
      const found = await this._server.environments(store);
      this.environments = store === this.store ? found : this.environments;
    } catch {
      this.environments = []; // the search tells what is wrong with a store
    }
    this._update();
  }

  private async _preview(chosen: Chosen, signal: AbortSignal): Promise<void> {
    try {
      const preview = await this._server.plan(chosen, signal);
      if (!signal.aborted) {
        this.preview = preview;
      }
    } catch (error) {
      if (!signal.aborted) {
        this.previewFailure = modelOf(error);
      }
    }
    this._changed.emit();
  }

  private _fail(error: unknown): void {
    this.failure = modelOf(error);
  }

  private _update(): void {
    const key = this.rows[this.active]?.key;
    const { results, kernels, environments } = this;
    this.rows = listRows({ results, kernels, environments }, this.text);
    this.active = key === undefined ? -1 : this.rows.findIndex(row => row.key === key);
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _isTyping = false;
  private _typing: ReturnType<typeof setTimeout> | undefined;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _paging = false;
  private _completing: AbortController | undefined;
  private _previewing: AbortController | undefined;
}

const STORE_KEY = 'spack-kernel:store';

/** Return the store that was chosen last in this browser. */
function remembered(): number {
  const store = Number(recall(STORE_KEY));
  return Number.isInteger(store) && store >= 0 ? store : 0;
}

/** Return any error as one of the server. */
export function modelOf(error: unknown): ErrorModel {
  if (error instanceof PickerError) {
    return error.model;
  }
  const summary = error instanceof Error ? error.message : String(error);
  return { code: 'error', summary, details: [], hint: '' };
}
