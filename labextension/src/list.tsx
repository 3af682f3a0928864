/** The list of results. Only the visible rows exist, so that fifty thousand specs cost nothing. */

import * as React from 'react';

import { chosenEnvironment, chosenKernel, Chosen, chosenSpecs, chosenView } from './choices';
import { PickerModel } from './model';
import { heightOf, ListRow, offsets, visible } from './rows';

export const LIST_ID = 'spack-kernel-results';

export function rowId(index: number): string {
  return `spack-kernel-row-${index}`;
}

/** Return what a row stands for; null for one that cannot be chosen. */
export function chosenRow(row: ListRow | undefined, model: PickerModel): Chosen | null {
  const { store } = model;
  switch (row?.kind) {
    case 'spec':
      return chosenSpecs([row.spec], store, model.kernels);
    case 'kernel':
      return chosenKernel(row.kernel, store);
    case 'environment':
      return chosenEnvironment(row.environment, store);
    case 'view':
      return chosenView(row.path, store);
    default:
      return null;
  }
}

interface Props {
  model: PickerModel;
  onChoose: (index: number) => void;
}

export function ResultList({ model, onChoose }: Props): React.JSX.Element {
  const box = React.useRef<HTMLDivElement>(null);
  const [top, setTop] = React.useState(0);
  const [height, setHeight] = React.useState(600);
  const { rows, active } = model;
  const starts = React.useMemo(() => offsets(rows), [rows]);

  React.useEffect(() => {
    const element = box.current;
    if (!element) {
      return undefined;
    }
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  React.useEffect(() => {
    if (model.active < 0 && box.current) {
      box.current.scrollTop = 0;
    }
  }, [model.text]);

  React.useEffect(() => {
    const element = box.current;
    const row = rows[active];
    const start = starts[active];
    if (!element || !row || start === undefined) {
      return;
    }
    const end = start + heightOf(row);
    if (start < element.scrollTop) {
      element.scrollTop = start;
    } else if (end > element.scrollTop + element.clientHeight) {
      element.scrollTop = end - element.clientHeight;
    }
  }, [active, starts]);

  const [first, last] = visible(starts, top, height);
  const nearEnd = rows[last - 1]?.kind === 'more';
  React.useEffect(() => {
    if (nearEnd) {
      void model.more();
    }
  }, [nearEnd, rows.length]);

  return (
    <div
      ref={box}
      id={LIST_ID}
      className="spack-kernel-list"
      role="listbox"
      aria-label="Installed specs"
      aria-busy={model.isBusy}
      data-text={model.results?.text}
      tabIndex={-1}
      onScroll={event => setTop(event.currentTarget.scrollTop)}
    >
      <div className="spack-kernel-canvas" style={{ height: starts[rows.length] ?? 0 }}>
        {rows.slice(first, last).map((row, position) => {
          const index = first + position;
          return (
            <div
              key={row.key}
              className="spack-kernel-place"
              style={{ top: starts[index], height: heightOf(row) }}
            >
              {drawn(row, index, model, onChoose)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function drawn(
  row: ListRow,
  index: number,
  model: PickerModel,
  onChoose: (index: number) => void
): React.JSX.Element {
  if (row.kind === 'heading') {
    return (
      <div className="spack-kernel-heading" role="presentation">
        <span className="spack-kernel-name" title={row.text}>
          {row.text}
        </span>
        <span className="spack-kernel-detail">{row.detail}</span>
      </div>
    );
  }
  const isTogether =
    row.kind === 'spec' && model.together.some(spec => spec.hash === row.spec.hash);
  const { title, badge, detail, warning, hint } = shown(row);
  const classes = ['spack-kernel-item'];
  if (index === model.active) {
    classes.push('spack-kernel-mod-active');
  }
  if (warning) {
    classes.push('spack-kernel-mod-unusable');
  }
  return (
    <div
      id={rowId(index)}
      className={classes.join(' ')}
      role="option"
      aria-selected={index === model.active}
      aria-setsize={model.rows.length}
      aria-posinset={index + 1}
      title={hint}
      data-key={row.key}
      onClick={() => onChoose(index)}
    >
      <div className="spack-kernel-line">
        <span className="spack-kernel-name">{title}</span>
        <span className="spack-kernel-badge">{badge}</span>
        {row.kind === 'spec' && (
          <button
            className="spack-kernel-add"
            type="button"
            tabIndex={-1}
            aria-pressed={isTogether}
            aria-label={`${isTogether ? 'Remove' : 'Add'} ${title} ${isTogether ? 'from' : 'to'} the specs that are loaded together`}
            title={isTogether ? 'Do not load together' : 'Load together with others (Alt+Enter)'}
            onClick={event => {
              event.stopPropagation();
              model.toggle(row.spec);
            }}
          >
            {isTogether ? '−' : '+'}
          </button>
        )}
      </div>
      <div className="spack-kernel-line spack-kernel-detail">
        {detail} {warning && <span className="spack-kernel-warning">{warning}</span>}
      </div>
    </div>
  );
}

interface Shown {
  title: string;
  badge: string;
  detail: string;
  warning: string;
  hint: string;
}

/** Return the texts of a row; what comes from a store is only ever shown as text. */
function shown(row: ListRow): Shown {
  const texts = { title: '', badge: '', detail: '', warning: '', hint: '' };
  switch (row.kind) {
    case 'spec': {
      const { spec } = row;
      const short = spec.hash.slice(0, 7);
      const languages = spec.kernels.length ? `kernels: ${spec.kernels.join(', ')}` : '';
      const own = [spec.compiler, spec.variants.replace(/ ?build_system=\S+/, '')].join(' ').trim();
      const difference = spec.difference || own;
      const details = [difference, languages].filter(each => each);
      const hint = [
        `${spec.name}@${spec.version}/${spec.hash}`,
        spec.variants,
        spec.compiler,
        spec.target,
        spec.python && `Python ${spec.python}`,
        spec.ipykernel && `ipykernel ${spec.ipykernel_version} (${spec.ipykernel})`,
        spec.explicit ? 'explicitly installed' : 'installed as a dependency',
        spec.store,
        spec.why_not && `Not a kernel: ${spec.why_not}`
      ];
      return {
        title: spec.version,
        badge: [spec.python && `py ${spec.python}`, `/${short}`].filter(each => each).join('  '),
        detail: details.join('; '),
        warning: spec.why_not && !spec.kernels.length ? `not a kernel: ${spec.why_not}` : '',
        hint: hint.filter(line => line).join('\n')
      };
    }
    case 'kernel': {
      const { kernel } = row;
      const hash = kernel.metadata.spack_hash;
      return {
        ...texts,
        title: kernel.display_name,
        detail: kernel.config.environment ?? kernel.metadata.spack_store ?? '',
        badge: hash ? `/${hash.slice(0, 7)}` : '',
        hint: `${kernel.display_name}\n${kernel.name}`
      };
    }
    case 'environment': {
      const { environment } = row;
      const count = environment.roots.length;
      return {
        ...texts,
        title: environment.name,
        badge: environment.python ? `py ${environment.python}` : '',
        detail: `${count} root${count === 1 ? '' : 's'}`,
        warning: environment.why_not ? `not a kernel: ${environment.why_not}` : '',
        hint: environment.directory
      };
    }
    case 'view':
      return {
        ...texts,
        title: row.path,
        detail: 'Press Enter to use the view in this directory',
        hint: row.path
      };
    default:
      return { ...texts, title: 'More…' };
  }
}
