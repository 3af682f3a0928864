import { JSONValue } from '@lumino/coreutils';

import { errorText, UserKernel } from '../src/api';
import { chosenKernel, chosenSpecs, pinFor, pinOf, specOfKernelSpec } from '../src/choices';
import { isShown, LauncherOptions } from '../src/launcher';
import { placeholder, remembered } from '../src/place';
import { deathText, startText } from '../src/reports';
import { row, userKernel } from './fixtures';

test('one spec is named by its hash, several by name and hash', () => {
  const [numpy, scipy] = [row('py-numpy', '2', 'aaaaaaaaa'), row('py-scipy', '1', 'bbbbbbbbb')];
  expect(chosenSpecs([numpy], 0)).toMatchObject({
    title: 'py-numpy 2 /aaaaaaa',
    queries: ['/aaaaaaaaa']
  });
  expect(chosenSpecs([numpy, scipy], 1)).toMatchObject({
    queries: ['py-numpy/aaaaaaaaa', 'py-scipy/bbbbbbbbb'],
    store: 1
  });
});

test('a kernel is chosen again as it was', () => {
  const kernel = (config: UserKernel['config']) => userKernel('k', true, config);
  expect(chosenKernel(kernel({ hash: 'abc', spec: 'py-x@1' }), 0).queries).toEqual(['/abc']);
  expect(chosenKernel(kernel({ specs: ['a/1', 'b/2'] }), 0).queries).toEqual(['a/1', 'b/2']);
  const environment = chosenKernel(kernel({ environment: '/e', view: 'default' }), 0);
  expect(environment).toMatchObject({ queries: [], environment: '/e', view: 'default' });
});

test('what a notebook is pinned to', () => {
  const hash = 'a'.repeat(32);
  expect(pinOf({ spec: 'py-x@1', hash })).toEqual({
    title: 'py-x@1 /aaaaaaa',
    queries: [`/${hash}`]
  });
  expect(pinOf({ spec: 'py-x@1' })).toEqual({ title: 'py-x@1', queries: ['py-x@1'] });
  expect(pinOf({ specs: [`py-x/${hash}`, 'py-y'] })).toEqual({
    title: 'py-x/aaaaaaa + py-y',
    queries: [`py-x/${hash}`, 'py-y']
  });
  const others: (JSONValue | undefined)[] = [undefined, null, 'py-x', 3, [], {}, { specs: [] }];
  for (const other of [...others, { spec: 3 }]) {
    expect(pinOf(other)).toBeNull();
  }
});

test('what is written into a notebook', () => {
  const numpy = row('py-numpy', '2', 'aaa');
  expect(pinFor(chosenSpecs([numpy], 0), [numpy])).toEqual({ spec: 'py-numpy@2', hash: 'aaa' });
  const both = [numpy, row('py-scipy', '1', 'bbb')];
  expect(pinFor(chosenSpecs(both, 0), both)).toEqual({ specs: ['py-numpy/aaa', 'py-scipy/bbb'] });
  const environment = { ...chosenSpecs([numpy], 0), queries: [], environment: '/e' };
  expect(pinFor(environment, [numpy])).toBeNull();
});

test('the spec behind a kernelspec', () => {
  const metadata = { spack_package: 'py-x', spack_version: '1', spack_hash: 'abcdefghij' };
  expect(specOfKernelSpec(metadata)).toBe('py-x 1 /abcdefg');
  expect(specOfKernelSpec({})).toBe('');
  expect(specOfKernelSpec(undefined)).toBe('');
});

test('the launcher shows what was chosen', () => {
  const options: LauncherOptions = {
    specs: () =>
      ({
        default: 'python3',
        kernelspecs: { found: { metadata: { spack_discovered: true } }, python3: { metadata: {} } }
      }) as unknown as ReturnType<LauncherOptions['specs']>,
    kernels: () => [userKernel('kept', true), userKernel('new', false), userKernel('old', false)],
    recent: () => 1,
    all: () => false
  };
  const shown = (changes: Partial<LauncherOptions> = {}) =>
    ['python3', 'kept', 'new', 'old', 'found', 'spack-notebook'].filter(name =>
      isShown(name, { ...options, ...changes })
    );
  expect(shown()).toEqual(['python3', 'kept', 'new']);
  expect(shown({ recent: () => 0 })).toEqual(['python3', 'kept']);
  expect(shown({ all: () => true })).toEqual(['python3', 'kept', 'new', 'old', 'found']);
});

test('what notifications say', () => {
  const death = {
    number: 1,
    kernel_id: 'k',
    action: 'die' as const,
    spec: ['py-x@1/abc'],
    hash: ['abc'],
    exit_status: -9,
    signal: 'SIGKILL',
    error: { code: 'kernel-died', summary: 'the kernel ended: killed by SIGKILL', details: ['  | Killed'], hint: 'memory' }
  };
  expect(deathText(death)).toBe('py-x@1/abc ended: killed by SIGKILL\n| Killed');
  expect(deathText({ ...death, spec: ['a', 'b', 'c'] })).toMatch(/^a and 2 more ended/);
  expect(deathText({ ...death, action: 'refuse' })).toBe(
    'py-x@1/abc could not be started: the kernel ended: killed by SIGKILL'
  );
  expect(errorText(death.error)).toBe('the kernel ended: killed by SIGKILL\n  | Killed\nmemory');
  const start = { kernel_id: 'k', spec: 'py-x', phase: 'planning' as const, seconds: 4.4, detail: '' };
  expect(startText(start)).toBe(
    'Starting py-x: waiting for reading the store and planning, 4 s so far'
  );
  expect(startText({ ...start, phase: 'waiting', detail: 'Job 7: pending (Priority)' })).toBe(
    'Starting py-x. Job 7: pending (Priority)'
  );
});

test('the form of a job says what holds, and offers nothing that the site does not allow', () => {
  const field = { name: 'time', value: '1:00:00', choices: [], most: '8:00:00', locked: false };
  expect(placeholder(field)).toBe('1:00:00, at most 8:00:00');
  expect(placeholder({ ...field, value: '8:00:00' })).toBe('8:00:00');
  expect(placeholder({ ...field, value: '', most: '' })).toBe('e.g. 1:00:00');
  const partition = { ...field, name: 'partition', value: 'cpu', choices: ['cpu', 'gpu'], most: '' };
  expect(remembered([field, partition])).toEqual({});
});
