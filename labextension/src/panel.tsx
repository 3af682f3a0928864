/** The panel: a search box, the results, and the preview of what is chosen. */

import { ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { chosenSpecs } from './choices';
import { spackIcon } from './icon';
import { chosenRow, ResultList } from './list';
import { PickerModel } from './model';
import { Acts, Failure, PreviewPane } from './preview';
import { asPath } from './query';
import { SearchBox } from './search';

export const PANEL_ID = 'spack-kernel-picker';

export class PickerPanel extends ReactWidget {
  constructor(
    readonly model: PickerModel,
    private readonly _acts: () => Acts
  ) {
    super();
    this.id = PANEL_ID;
    this.addClass('spack-kernel-panel');
    this.title.icon = spackIcon;
    this.title.caption = 'Spack: choose a kernel';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Spack picker');
    model.changed.connect(() => this.update());
  }

  /** Put the cursor into the search box. */
  focusSearch(): void {
    requestAnimationFrame(() => {
      this._input.current?.focus();
      this._input.current?.select();
    });
  }

  override dispose(): void {
    this.model.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.model.refresh();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.focusSearch();
  }

  protected render(): React.JSX.Element {
    const { model } = this;
    const choose = (index: number) => {
      const row = model.rows[index];
      if (row?.kind === 'more') {
        void model.more();
        return;
      }
      model.setActive(index);
      model.choose(chosenRow(row, model));
      requestAnimationFrame(() => this._first.current?.focus());
    };
    const close = () => {
      model.choose(null);
      this.focusSearch();
    };
    return (
      <>
        <SearchBox model={model} input={this._input} onChoose={choose} />
        <Stores model={model} />
        <Status model={model} />
        <ResultList model={model} onChoose={choose} />
        <Together model={model} />
        <PreviewPane model={model} acts={this._acts()} first={this._first} onClose={close} />
      </>
    );
  }

  private readonly _input = React.createRef<HTMLInputElement>();
  private readonly _first = React.createRef<HTMLButtonElement>();
}

/** The specs that are to be loaded together. */
function Together({ model }: { model: PickerModel }): React.JSX.Element | null {
  const { together } = model;
  if (!together.length) {
    return null;
  }
  return (
    <div className="spack-kernel-together">
      <ul aria-label="Specs that are loaded together">
        {together.map(spec => (
          <li key={spec.hash}>
            {spec.name} {spec.version}
            <button
              type="button"
              aria-label={`Remove ${spec.name} ${spec.version}`}
              onClick={() => model.toggle(spec)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <button
        type="button"
        className="jp-mod-styled"
        onClick={() => model.choose(chosenSpecs(together, model.store))}
      >
        Load together
      </button>
    </div>
  );
}

/** Which store is searched, where there are several. */
function Stores({ model }: { model: PickerModel }): React.JSX.Element | null {
  const stores = model.health?.stores ?? [];
  if (stores.length < 2) {
    return null;
  }
  return (
    <label className="spack-kernel-field-row">
      Store
      <select
        aria-label="Store"
        value={model.store}
        onChange={event => model.setStore(Number(event.currentTarget.value))}
      >
        {stores.map((store, index) => (
          <option key={store} value={index}>
            {store}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What was found, or what is wrong; screen readers hear it. */
function Status({ model }: { model: PickerModel }): React.JSX.Element {
  const { failure, notice, text } = model;
  const isView = Boolean(asPath(text));
  const results = isView ? null : model.results;
  const error = model.queryError;
  const whyNot = model.health?.why_not;
  return (
    <div id="spack-kernel-status" className="spack-kernel-status" role="status" aria-live="polite">
      {notice && (
        <p className="spack-kernel-notice">
          {notice}
          <button
            type="button"
            aria-label="Dismiss"
            onClick={() => {
              model.notice = '';
              model.setActive(model.active);
            }}
          >
            ×
          </button>
        </p>
      )}
      {model.waiting && <p>{model.waiting}</p>}
      {whyNot && <p>The Spack picker is off: {whyNot}.</p>}
      {failure && !whyNot && <Failure error={failure} />}
      {!failure && error && <Failure error={error} />}
      {!failure && results && !error && (
        <p>{results.text === text ? counted(model) : 'Searching…'}</p>
      )}
      {!failure && results?.meant && results.text === text && (
        <p>
          Showing{' '}
          <button
            type="button"
            className="spack-kernel-link"
            onClick={() => model.setText(results.meant)}
          >
            {results.meant}
          </button>
        </p>
      )}
      {results?.notes.map(note => <p key={note}>{note}</p>)}
      {isView && <p>A path names a view, such as one that `spack view` makes.</p>}
      {!results && !failure && !isView && <p>Reading the store…</p>}
    </div>
  );
}

function counted(model: PickerModel): string {
  const { results } = model;
  if (!results) {
    return '';
  }
  const total = results.total.toLocaleString('en');
  const installed = results.installed.toLocaleString('en');
  if (!results.text.trim()) {
    return `${total} specs were explicitly installed; type to search all ${installed}`;
  }
  return `${total} of ${installed} specs`;
}
