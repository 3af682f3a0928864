/** The rows of the list of results: headings and items, of which only the visible ones exist. */

import { Environment, Results, Row, UserKernel } from './api';
import { asPath } from './query';

export const HEADING_HEIGHT = 28;
export const ITEM_HEIGHT = 44;

/** Rows that are drawn beyond the visible part, so that scrolling shows no gaps. */
const SPARE = 6;

export type ListRow =
  | { kind: 'heading'; key: string; text: string; detail: string }
  | { kind: 'kernel'; key: string; kernel: UserKernel }
  | { kind: 'environment'; key: string; environment: Environment }
  | { kind: 'view'; key: string; path: string }
  | { kind: 'spec'; key: string; spec: Row }
  | { kind: 'more'; key: string };

export interface Lists {
  results: Results | null;
  kernels: UserKernel[];
  environments: Environment[];
}

/** Return the rows of a list: what matches of the user's kernels and environments comes first. */
export function listRows(lists: Lists, text: string): ListRow[] {
  const path = asPath(text);
  if (path) {
    return [heading('View', 'a directory'), { kind: 'view', key: 'view', path }];
  }
  const words = text.toLowerCase().split(/[\s@/]+/).filter(word => word);
  const matches = (name: string) => words.every(word => name.toLowerCase().includes(word));
  const rows: ListRow[] = [];
  const kernels = lists.kernels.filter(
    kernel => !kernel.config.from_notebook && matches(kernel.display_name)
  );
  const section = (title: string, items: ListRow[]) => {
    if (items.length) {
      rows.push(heading(title, String(items.length)), ...items);
    }
  };
  const kernelRow = (kernel: UserKernel): ListRow => ({
    kind: 'kernel',
    key: `kernel ${kernel.name}`,
    kernel
  });
  section('Kept', kernels.filter(kernel => kernel.kept).map(kernelRow));
  section('Recent', kernels.filter(kernel => !kernel.kept).slice(0, 8).map(kernelRow));
  section(
    'Spack environments',
    lists.environments
      .filter(environment => matches(environment.name))
      .map(environment => ({
        kind: 'environment',
        key: `environment ${environment.name}`,
        environment
      }))
  );
  for (const group of lists.results?.groups ?? []) {
    const counted = `${group.count} build${group.count === 1 ? '' : 's'}`;
    const found = FOUND_BY[group.found_by];
    rows.push(heading(group.package, found ? `${counted}, ${found}` : counted));
    for (const spec of group.rows) {
      rows.push({ kind: 'spec', key: `spec ${spec.hash}`, spec });
    }
  }
  if (lists.results?.cursor) {
    rows.push({ kind: 'more', key: 'more' });
  }
  return rows;
}

const FOUND_BY = {
  query: '',
  name: 'by name',
  module: 'has this module',
  favourite: 'favourite of this site'
};

function heading(text: string, detail: string): ListRow {
  return { kind: 'heading', key: `heading ${text} ${detail}`, text, detail };
}

/** Append a page to the results before it; a group may continue. */
export function appended(before: Results, page: Results): Results {
  const groups = [...before.groups];
  for (const group of page.groups) {
    const last = groups[groups.length - 1];
    if (last?.package === group.package && last.found_by === group.found_by) {
      groups[groups.length - 1] = { ...last, rows: [...last.rows, ...group.rows] };
    } else {
      groups.push(group);
    }
  }
  return { ...before, groups, cursor: page.cursor };
}

export function heightOf(row: ListRow): number {
  return row.kind === 'heading' ? HEADING_HEIGHT : ITEM_HEIGHT;
}

/** Where each row begins, and at the end the height of all. */
export function offsets(rows: readonly ListRow[]): number[] {
  const found = [0];
  let sum = 0;
  for (const row of rows) {
    sum += heightOf(row);
    found.push(sum);
  }
  return found;
}

/** Return the first row to draw, and the one after the last. */
export function visible(starts: readonly number[], top: number, height: number): [number, number] {
  const count = starts.length - 1;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle + 1] ?? 0) <= top) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  let end = low;
  while (end < count && (starts[end] ?? 0) < top + height) {
    end++;
  }
  return [Math.max(0, low - SPARE), Math.min(count, end + SPARE)];
}

/** Return the next row that can be chosen, `step` rows away; `from` is -1 before the first. */
export function nextItem(rows: readonly ListRow[], from: number, step: number): number {
  const direction = Math.sign(step);
  let left = Math.abs(step);
  let found = from;
  for (let at = from + direction; at >= 0 && at < rows.length && left > 0; at += direction) {
    if (rows[at]?.kind !== 'heading') {
      found = at;
      left--;
    }
  }
  return found;
}
