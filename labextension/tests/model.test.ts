import { Choice, Completions, PickerError, Preview, Results } from '../src/api';
import { PickerModel, Server } from '../src/model';
import { results, row } from './fixtures';

/** A server whose searches are answered when the test says so. */
class Standin implements Server {
  searches: {
    text: string;
    cursor: string;
    explain: boolean;
    answer: (found: Results | Error) => void;
  }[] = [];
  planned: Choice[] = [];

  health = () => Promise.resolve({ version: '1', stores: ['/sw'], why_not: '', slurm: null });
  kernels = () => Promise.resolve([]);
  environments = () => Promise.resolve([]);

  search(text: string, cursor: string, _: number, explain: boolean): Promise<Results> {
    return new Promise((resolve, reject) => {
      const answer = (found: Results | Error) =>
        found instanceof Error ? reject(found) : resolve(found);
      this.searches.push({ text, cursor, explain, answer });
    });
  }

  complete(): Promise<Completions> {
    return Promise.resolve({ start: 0, end: 0, items: [{ text: 'a', kind: 'package', detail: '' }] });
  }

  plan(choice: Choice): Promise<Preview> {
    this.planned.push(choice);
    return Promise.resolve({
      title: 'planned',
      roots: [],
      nodes: [],
      plan: null,
      error: null,
      commands: {},
      front_end: []
    });
  }
}

const settled = () => new Promise(resolve => setTimeout(resolve, 0));

const group = (name: string) => ({
  package: name,
  count: 1,
  found_by: 'query' as const,
  rows: [row(name, '1')]
});

let server: Standin;
let model: PickerModel;

beforeEach(() => {
  server = new Standin();
  model = new PickerModel(server);
});

afterEach(() => model.dispose());

test('one search at a time, and the newest text wins', async () => {
  for (const text of ['n', 'nu', 'num']) {
    model.setText(text);
  }
  expect(server.searches.map(search => search.text)).toEqual(['n']);
  server.searches[0]?.answer(results([group('n')], '', 'n'));
  await settled();
  expect(server.searches.map(search => search.text)).toEqual(['n', 'num']);
  server.searches[1]?.answer(results([group('py-numpy')], '', 'num'));
  await settled();
  expect(model.isBusy).toBe(false);
  expect(model.rows.map(each => each.key)).toEqual(['heading py-numpy 1 build', 'spec py-numpy1']);
});

test('shows the error of a store that cannot be read, and tries again', async () => {
  jest.useFakeTimers();
  try {
    model.setText('x');
    const slow = { code: 'store-slow', summary: 'timed out', details: [], hint: 'ls' };
    server.searches[0]?.answer(new PickerError(slow));
    await jest.advanceTimersByTimeAsync(10);
    expect(model.failure).toEqual(slow);
    await jest.advanceTimersByTimeAsync(6000);
    server.searches[1]?.answer(results([], '', 'x'));
    await jest.advanceTimersByTimeAsync(10);
    expect(model.failure).toBeNull();
  } finally {
    jest.useRealTimers();
  }
});

test('an error at the end of the text is shown when the user stops typing', async () => {
  jest.useFakeTimers();
  try {
    model.setText('hdf5 @');
    const error = {
      code: 'query-syntax',
      summary: 'wrong',
      details: [],
      hint: '',
      position: 5,
      length: 1
    };
    server.searches[0]?.answer({ ...results([], '', 'hdf5 @'), error });
    await jest.advanceTimersByTimeAsync(10);
    expect(model.queryError).toBeNull();
    await jest.advanceTimersByTimeAsync(1000);
    expect(model.queryError).toEqual(error);
  } finally {
    jest.useRealTimers();
  }
});

test('several calls ask for the next page once', async () => {
  model.setText('a');
  server.searches[0]?.answer(results([group('a')], '1', 'a'));
  await settled();
  void model.more();
  void model.more();
  expect(server.searches.slice(1).map(search => search.cursor)).toEqual(['1']);
  server.searches[1]?.answer(results([group('b')], '', 'a'));
  await settled();
  expect(model.rows.filter(each => each.kind === 'spec')).toHaveLength(2);
  await model.more();
  expect(server.searches).toHaveLength(2);
});

test('specs that are loaded together are planned together', async () => {
  model.toggle(row('py-numpy', '1', 'aaa'));
  model.toggle(row('py-scipy', '1', 'bbb'));
  await settled();
  expect(server.planned.map(choice => choice.queries)).toEqual([
    ['/aaa'],
    ['py-numpy/aaa', 'py-scipy/bbb']
  ]);
  model.toggle(row('py-numpy', '1', 'aaa'));
  expect(model.chosen?.queries).toEqual(['/bbb']);
  model.toggle(row('py-scipy', '1', 'bbb'));
  expect(model.chosen).toBeNull();
});

test('completions for a text that has changed are dropped', async () => {
  model.setText('a');
  const asked = model.complete(1);
  model.setText('ab');
  await asked;
  expect(model.completions).toBeNull();
  await model.complete(2);
  expect(model.completions?.items).toHaveLength(1);
  model.closeCompletions();
  expect(model.completions).toBeNull();
});

test('asks why nothing was found when the user stops typing', async () => {
  jest.useFakeTimers();
  try {
    model.setText('py-x ^py');
    server.searches[0]?.answer({ ...results([], '', 'py-x ^py'), explained: false });
    await jest.advanceTimersByTimeAsync(10);
    expect(server.searches.map(search => search.explain)).toEqual([false]);
    await jest.advanceTimersByTimeAsync(1000);
    expect(server.searches.map(search => search.explain)).toEqual([false, true]);
    server.searches[1]?.answer(results([], '', 'py-x ^py'));
    await jest.advanceTimersByTimeAsync(1000);
    expect(server.searches).toHaveLength(2);
  } finally {
    jest.useRealTimers();
  }
});
