/** What can be chosen: how each row, and each kernel, becomes a request to the server. */

import { JSONObject, JSONValue } from '@lumino/coreutils';

import { Choice, Environment, Row, UserKernel } from './api';

/** Something chosen, and what it is called. */
export interface Chosen extends Choice {
  title: string;
  /** The views of a Spack environment, by name. */
  views: string[];
}

const NOTHING = { queries: [], environment: '', view: '', kernel: null, slurm: null, views: [] };

export function specTitle(spec: { name: string; version: string; hash: string }): string {
  return `${spec.name} ${spec.version} /${spec.hash.slice(0, 7)}`;
}

/** Return the choice of specs; `kernels` are those of the user, one of which may start it. */
export function chosenSpecs(
  specs: readonly Row[],
  store: number,
  kernels: readonly UserKernel[] = []
): Chosen {
  const [only] = specs.length === 1 ? specs : [];
  const kept = kernels.find(
    ({ kept, config, metadata }) =>
      kept && !isInJob(config) && only && config.hash === only.hash && metadata.spack_store === only.store
  );
  return {
    ...NOTHING,
    kernel: kept ?? null,
    title: specs.map(specTitle).join(' + '),
    queries: specs.map(spec => (specs.length > 1 ? `${spec.name}/${spec.hash}` : `/${spec.hash}`)),
    store
  };
}

/** Whether a kernel of the user runs in a job. */
function isInJob(config: UserKernel['config']): boolean {
  return config.slurm !== undefined || config.job_id !== undefined;
}

/** Return the choice of a spec of which only the hash is known. */
export function chosenHash(hash: string, store: number): Chosen {
  return { ...NOTHING, title: `/${hash.slice(0, 7)}`, queries: [`/${hash}`], store };
}

export function chosenEnvironment(environment: Environment, store: number, view = ''): Chosen {
  return {
    ...NOTHING,
    title: environment.name,
    environment: environment.directory || environment.name,
    view,
    views: Object.keys(environment.views),
    store
  };
}

/** Return the choice of a view by its path, such as one that `spack view` has made. */
export function chosenView(path: string, store: number): Chosen {
  return { ...NOTHING, title: path, view: path, store };
}

export function chosenKernel(kernel: UserKernel, store: number): Chosen {
  const { hash, spec, specs, environment, view } = kernel.config;
  const one = hash ? `/${hash}` : spec;
  return {
    ...NOTHING,
    title: kernel.display_name,
    queries: specs ?? (one ? [one] : []),
    environment: environment ?? '',
    view: view ?? '',
    kernel,
    store
  };
}

/** Return the spec of a kernelspec for the toolbar; empty for a kernel of another project. */
export function specOfKernelSpec(metadata: JSONObject | undefined): string {
  const name = metadata?.spack_package;
  const version = metadata?.spack_version;
  const hash = metadata?.spack_hash;
  if (typeof name !== 'string' || typeof hash !== 'string') {
    return '';
  }
  return specTitle({ name, version: typeof version === 'string' ? version : '', hash });
}

/** The specs that a notebook's metadata names under `spack`; see `spack-kernel pin`. */
export interface Pin {
  title: string;
  queries: string[];
}

export function pinOf(metadata: JSONValue | undefined): Pin | null {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    return null;
  }
  const entry = metadata;
  const text = (value: JSONValue | undefined) => (typeof value === 'string' ? value : '');
  const hash = text(entry.hash).replace(/^\//, '');
  const spec = text(entry.spec);
  if (Array.isArray(entry.specs)) {
    const queries = entry.specs.map(text).filter(query => query);
    const short = queries.map(query => query.replace(/(\/[a-z0-9]{7})[a-z0-9]+/, '$1'));
    return queries.length ? { title: short.join(' + '), queries } : null;
  }
  if (!hash && !spec) {
    return null;
  }
  const title = [spec, hash && `/${hash.slice(0, 7)}`].filter(part => part).join(' ');
  return { title, queries: [hash ? `/${hash}` : spec] };
}

/** The entry of a notebook's metadata for what is chosen; null if a notebook cannot name it. */
export function pinFor(
  chosen: Chosen,
  roots: readonly { name: string; version: string; hash: string }[]
): JSONObject | null {
  if (chosen.environment || chosen.view || !chosen.queries.length) {
    return null;
  }
  const [first] = roots;
  if (chosen.queries.length === 1 && first) {
    return { spec: `${first.name}@${first.version}`, hash: first.hash };
  }
  return { specs: [...chosen.queries] };
}
