/** The preview of what is chosen: what would be started, why, and what can be done with it. */

import { PageConfig } from '@jupyterlab/coreutils';
import * as React from 'react';

import { ErrorModel, Plan, Preview, TreeNode } from './api';
import { Chosen } from './choices';
import { PickerModel } from './model';
import { PlaceForm } from './place';
import { treeLines } from './tree';

/** Lines of the tree that are drawn; a search narrows it down. */
const MOST_LINES = 500;

/** What the user can do with what is chosen; what is undefined cannot be done now. */
export interface Acts {
  startNotebook: (chosen: Chosen) => void;
  startConsole: (chosen: Chosen) => void;
  use?: { label: string; act: (chosen: Chosen) => void };
  pin?: { label: string; act: (chosen: Chosen, preview: Preview) => void };
  keep: (chosen: Chosen) => void;
  remove: (chosen: Chosen) => void;
}

interface Props {
  model: PickerModel;
  acts: Acts;
  first: React.RefObject<HTMLButtonElement>;
  onClose: () => void;
}

export function PreviewPane({ model, acts, first, onClose }: Props): React.JSX.Element | null {
  const { chosen, preview, previewFailure } = model;
  if (!chosen) {
    return null;
  }
  const isAble = preview?.plan != null;
  return (
    <section
      className="spack-kernel-preview"
      aria-label={`Preview of ${chosen.title}`}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <header>
        <h3 title={chosen.title}>{preview?.title ?? chosen.title}</h3>
        <button type="button" aria-label="Close the preview" title="Close (Escape)" onClick={onClose}>
          ×
        </button>
      </header>
      {chosen.views.length > 0 && (
        <label className="spack-kernel-field-row">
          View
          <select
            aria-label="View"
            value={chosen.view}
            onChange={event => model.choose({ ...chosen, view: event.currentTarget.value })}
          >
            <option value="">default</option>
            {chosen.views
              .filter(view => view !== 'default')
              .map(view => (
                <option key={view} value={view}>
                  {view}
                </option>
              ))}
            <option value="none">none: load the roots</option>
          </select>
        </label>
      )}
      {model.health?.slurm && !chosen.kernel && (
        <PlaceForm
          chosen={chosen}
          fields={model.health.slurm}
          onChange={slurm => model.setJob(slurm)}
        />
      )}
      <div className="spack-kernel-acts">
        <button
          ref={first}
          type="button"
          className="jp-mod-styled jp-mod-accept"
          aria-disabled={!isAble}
          onClick={() => isAble && acts.startNotebook(chosen)}
        >
          Start a notebook
        </button>
        <Act label="Start a console" isAble={isAble} act={() => acts.startConsole(chosen)} />
        {acts.use && (
          <Act label={acts.use.label} isAble={isAble} act={() => acts.use?.act(chosen)} />
        )}
        {acts.pin && preview && !chosen.slurm && !chosen.environment && !chosen.view && (
          <Act
            label={acts.pin.label}
            isAble={isAble}
            act={() => acts.pin?.act(chosen, preview)}
            title="Write the spec into the notebook, which then starts with it wherever it is installed"
          />
        )}
        {chosen.kernel?.kept ? (
          <Act label="Remove from my kernels" isAble act={() => acts.remove(chosen)} />
        ) : (
          <Act
            label="Keep as a kernel of mine"
            isAble={isAble}
            act={() => acts.keep(chosen)}
            title="It then is in the launcher, and in every program that starts kernels"
          />
        )}
        {chosen.kernel && !chosen.kernel.kept && (
          <Act label="Forget" isAble act={() => acts.remove(chosen)} />
        )}
      </div>
      {!preview && !previewFailure && <p role="status">Planning the kernel…</p>}
      {previewFailure && <Failure error={previewFailure} />}
      {preview?.error && <Failure error={preview.error} />}
      {preview?.plan && <Facts plan={preview.plan} />}
      {preview && <MissingExtensions preview={preview} />}
      {preview && <Commands preview={preview} />}
      {preview && <Tree preview={preview} />}
      {preview?.plan && <Paths plan={preview.plan} />}
      {preview?.plan && <Variables plan={preview.plan} nodes={preview.nodes} />}
    </section>
  );
}

function Act(props: {
  label: string;
  isAble: boolean;
  act: () => void;
  title?: string;
}): React.JSX.Element {
  return (
    <button
      type="button"
      className="jp-mod-styled"
      aria-disabled={!props.isAble}
      title={props.title}
      onClick={() => props.isAble && props.act()}
    >
      {props.label}
    </button>
  );
}

/** An error of the server: what is wrong, what was found, and what to type next. */
export function Failure({ error }: { error: ErrorModel }): React.JSX.Element {
  return (
    <div className="spack-kernel-failure" role="alert">
      <p>{error.summary}</p>
      {error.details.length > 0 && <pre>{error.details.join('\n')}</pre>}
      {error.hint && <p className="spack-kernel-hint">{error.hint}</p>}
    </div>
  );
}

function Facts({ plan }: { plan: Plan }): React.JSX.Element {
  const { python, ipykernel } = plan;
  return (
    <dl className="spack-kernel-facts">
      {python && (
        <>
          <dt>Python</dt>
          <dd title={plan.interpreter ?? ''}>
            {python.version}, {python.spec}
          </dd>
        </>
      )}
      {ipykernel && (
        <>
          <dt>ipykernel</dt>
          <dd>
            {ipykernel.version || 'unknown version'}, {ORIGINS[ipykernel.from] ?? ipykernel.from}
            <div className="spack-kernel-detail">{ipykernel.reason}</div>
          </dd>
        </>
      )}
      <dt>Store</dt>
      <dd>{plan.store}</dd>
      {plan.overrides.map(({ used, unused }) => (
        <React.Fragment key={used + unused}>
          <dt>Conflict</dt>
          <dd className="spack-kernel-warning">
            {used} is used, and not {unused}
          </dd>
        </React.Fragment>
      ))}
      {plan.notes.map(note => (
        <React.Fragment key={note.topic + note.text}>
          <dt>{note.topic}</dt>
          <dd>{note.text}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}

const ORIGINS: Record<string, string> = {
  closure: 'one of its dependencies',
  interpreter: 'in its Python',
  companion: 'another installed one that fits its Python'
};

/** Return the names of the extensions that the page has. */
function extensionsOfPage(): Set<string> {
  try {
    const found = JSON.parse(PageConfig.getOption('federated_extensions') || '[]') as {
      name: string;
    }[];
    return new Set(found.map(extension => extension.name));
  } catch {
    return new Set();
  }
}

function MissingExtensions({ preview }: { preview: Preview }): React.JSX.Element | null {
  const there = extensionsOfPage();
  const missing = preview.front_end.filter(extension => !there.has(extension.name));
  if (!missing.length) {
    return null;
  }
  return (
    <div className="spack-kernel-missing" role="note">
      <p>
        This JupyterLab lacks extensions that the spec has. Its widgets show as text until they are
        installed beside JupyterLab:
      </p>
      <ul>
        {missing.map(extension => (
          <li key={extension.name}>
            {extension.name} {extension.version}, from {extension.spec}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Commands({ preview }: { preview: Preview }): React.JSX.Element {
  return (
    <details>
      <summary>In a shell</summary>
      {Object.entries(preview.commands).map(([name, command]) => (
        <div key={name} className="spack-kernel-command">
          <code>{command}</code>
          <button
            type="button"
            aria-label={`Copy ${command}`}
            title="Copy"
            onClick={() => void navigator.clipboard.writeText(command)}
          >
            Copy
          </button>
        </div>
      ))}
    </details>
  );
}

function Tree({ preview }: { preview: Preview }): React.JSX.Element {
  const [text, setText] = React.useState('');
  const lines = React.useMemo(
    () => treeLines(preview.roots, preview.nodes, text),
    [preview, text]
  );
  const shown = lines.slice(0, MOST_LINES);
  return (
    <details>
      <summary>Dependencies ({preview.nodes.length})</summary>
      <input
        type="search"
        className="spack-kernel-filter"
        aria-label="Search in the dependencies"
        placeholder="search in the dependencies"
        value={text}
        onChange={event => setText(event.currentTarget.value)}
      />
      <ul className="spack-kernel-tree" role="tree" aria-label="Dependencies">
        {shown.map(line => (
          <li
            key={line.key}
            role="treeitem"
            aria-level={line.depth + 1}
            style={{ paddingLeft: `${line.depth * 12}px` }}
            title={line.node?.prefix}
          >
            {line.node ? `${line.node.name} ${line.node.version}` : 'not recorded'}
            <span className="spack-kernel-detail">
              {' '}
              /{line.hash.slice(0, 7)}
              {line.node?.external ? ' external' : ''}
              {line.isRepeated ? ' (see above)' : ''}
            </span>
          </li>
        ))}
      </ul>
      {lines.length > shown.length && (
        <p className="spack-kernel-detail">and {lines.length - shown.length} more lines</p>
      )}
      {!lines.length && <p className="spack-kernel-detail">nothing matches</p>}
    </details>
  );
}

function Paths({ plan }: { plan: Plan }): React.JSX.Element {
  return (
    <details>
      <summary>PYTHONPATH ({plan.pythonpath_entries.length})</summary>
      <ol className="spack-kernel-paths">
        {plan.pythonpath_entries.map(entry => (
          <li key={entry.path}>
            <code>{entry.path}</code>
            <div className="spack-kernel-detail">
              {entry.spec}: {entry.reason}
            </div>
          </li>
        ))}
      </ol>
    </details>
  );
}

function Variables({ plan, nodes }: { plan: Plan; nodes: TreeNode[] }): React.JSX.Element {
  const names = new Map(nodes.map(node => [node.hash, `${node.name} ${node.version}`]));
  const changes = plan.modifications.filter(change => change.variable !== 'PYTHONPATH');
  return (
    <details>
      <summary>Other variables ({changes.length})</summary>
      <table className="spack-kernel-variables">
        <tbody>
          {changes.map((change, index) => (
            <tr key={index}>
              <th scope="row">{change.variable}</th>
              <td>
                {change.operation} <code>{change.value}</code>
                <div className="spack-kernel-detail">
                  {names.get(change.spec ?? '') ?? ''} {change.reason}
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
