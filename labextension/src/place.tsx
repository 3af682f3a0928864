/** Where a kernel runs: here, or in a job of Slurm with the options that the site allows. */

import * as React from 'react';

import { JobField } from './api';
import { Chosen } from './choices';
import { recall, remember } from './storage';

interface Props {
  chosen: Chosen;
  fields: JobField[];
  onChange: (slurm: Record<string, string> | null) => void;
}

export function PlaceForm({ chosen, fields, onChange }: Props): React.JSX.Element {
  const { slurm } = chosen;
  return (
    <fieldset className="spack-kernel-place-form">
      <label className="spack-kernel-field-row">
        Runs
        <select
          aria-label="Where it runs"
          value={slurm ? 'slurm' : 'here'}
          onChange={event =>
            onChange(event.currentTarget.value === 'slurm' ? remembered(fields) : null)
          }
        >
          <option value="here">on the machine of this server</option>
          <option value="slurm">in a Slurm job</option>
        </select>
      </label>
      {slurm &&
        fields.map(field => (
          <Field
            key={field.name}
            field={field}
            value={slurm[field.name] ?? ''}
            onChange={value => {
              const all = Object.entries({ ...slurm, [field.name]: value });
              onChange(Object.fromEntries(all.filter(([, each]) => each)));
            }}
          />
        ))}
    </fieldset>
  );
}

function Field(props: {
  field: JobField;
  value: string;
  onChange: (value: string) => void;
}): React.JSX.Element {
  const { field, value, onChange } = props;
  return (
    <label className="spack-kernel-field-row">
      {field.name}
      {field.choices.length > 0 && !field.locked ? (
        <select
          aria-label={field.name}
          value={value || field.value}
          onChange={event => onChange(event.currentTarget.value)}
        >
          {field.choices.map(choice => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input
          type="text"
          aria-label={field.name}
          disabled={field.locked}
          placeholder={placeholder(field)}
          value={field.locked ? field.value : value}
          onChange={event => onChange(event.currentTarget.value)}
        />
      )}
    </label>
  );
}

/** Return what a field says as long as nothing is typed: its default and its limit. */
export function placeholder(field: JobField): string {
  const most = field.most && field.most !== field.value ? `at most ${field.most}` : '';
  return [field.value, most].filter(part => part).join(', ') || (EXAMPLES[field.name] ?? '');
}

const EXAMPLES: Record<string, string> = {
  time: 'e.g. 1:00:00',
  mem: 'e.g. 8G',
  'cpus-per-task': 'e.g. 4',
  gres: 'e.g. gpu:1'
};

const KEY = 'spack-kernel:slurm';

/** Remember in this browser what was asked for last. */
export function rememberOptions(slurm: Record<string, string> | null): void {
  if (slurm) {
    remember(KEY, JSON.stringify(slurm));
  }
}

/** Return what was asked for last, as far as it can still be asked for. */
export function remembered(fields: readonly JobField[]): Record<string, string> {
  let last: Record<string, unknown> = {};
  try {
    last = (JSON.parse(recall(KEY) ?? '{}') ?? {}) as Record<string, unknown>;
  } catch {
    // somebody has changed it
  }
  const found: Record<string, string> = {};
  for (const { name, choices, locked } of fields) {
    const value = last[name];
    if (typeof value === 'string' && !locked && (!choices.length || choices.includes(value))) {
      found[name] = value;
    }
  }
  return found;
}
