import { Group } from '../src/api';
import { appended, ListRow, listRows, nextItem, offsets, visible } from '../src/rows';
import { results, row, userKernel } from './fixtures';

const numpy: Group = {
  package: 'py-numpy',
  count: 3,
  found_by: 'query',
  rows: [row('py-numpy', '2.1'), row('py-numpy', '1.26')]
};

const kinds = (rows: ListRow[]) => rows.map(each => each.kind);

test('each group has a heading, and more rows are announced', () => {
  const rows = listRows({ results: results([numpy], '2'), kernels: [], environments: [] }, '');
  expect(kinds(rows)).toEqual(['heading', 'spec', 'spec', 'more']);
  expect(rows[0]).toMatchObject({ text: 'py-numpy', detail: '3 builds' });
});

test('kept kernels, recent ones and environments come first, if they match the text', () => {
  const environment = {
    name: 'science',
    directory: '/e/science',
    roots: [],
    views: {},
    python: null,
    why_not: null
  };
  const notebook = userKernel('chosen by the notebook', false, { from_notebook: true });
  const lists = {
    results: null,
    kernels: [userKernel('kept one', true), userKernel('recent one', false), notebook],
    environments: [environment]
  };
  expect(listRows(lists, '').map(each => each.key)).toEqual([
    'heading Kept 1',
    'kernel kept one',
    'heading Recent 1',
    'kernel recent one',
    'heading Spack environments 1',
    'environment science'
  ]);
  expect(kinds(listRows(lists, 'ONE kept'))).toEqual(['heading', 'kernel']);
  expect(listRows(lists, 'chosen')).toEqual([]);
});

test('a path is a view, and hides what does not match it', () => {
  const lists = { results: results([numpy]), kernels: [], environments: [] };
  expect(kinds(listRows(lists, '/abc1234'))).toContain('spec');
  expect(listRows(lists, ' /sw/views/numpy/ ').slice(1)).toEqual([
    { kind: 'view', key: 'view', path: '/sw/views/numpy' }
  ]);
});

test('a page continues the last group', () => {
  const more: Group = { ...numpy, rows: [row('py-numpy', '1.25')] };
  const scipy: Group = { ...numpy, package: 'py-scipy', rows: [row('py-scipy', '1')] };
  const all = appended(results([numpy], '2'), results([more, scipy]));
  expect(all.groups.map(group => [group.package, group.rows.length])).toEqual([
    ['py-numpy', 3],
    ['py-scipy', 1]
  ]);
  expect(all.cursor).toBe('');
});

test('only the visible rows are drawn', () => {
  const groups = Array.from({ length: 1000 }, (_, index) => ({
    ...numpy,
    package: `py-${index}`,
    rows: [row('a', '1', `a${index}`), row('b', '1', `b${index}`)]
  }));
  const rows = listRows({ results: results(groups), kernels: [], environments: [] }, '');
  const starts = offsets(rows);
  expect(starts[rows.length]).toBe(1000 * (28 + 44 + 44));
  const [first, last] = visible(starts, 58000, 600);
  expect(first).toBe(1500 - 6);
  expect(last - first).toBeLessThan(40);
  expect(visible(starts, 0, 600)[0]).toBe(0);
  expect(visible([0], 0, 600)).toEqual([0, 0]);
});

test('the arrow keys skip headings and stop at the ends', () => {
  const rows = listRows({ results: results([numpy]), kernels: [], environments: [] }, '');
  expect(nextItem(rows, -1, 1)).toBe(1);
  expect(nextItem(rows, 1, 1)).toBe(2);
  expect(nextItem(rows, 2, 1)).toBe(2);
  expect(nextItem(rows, 1, -1)).toBe(1);
  expect(nextItem(rows, 1, 8)).toBe(2);
});
