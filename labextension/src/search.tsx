/** The search box: a query with its completions, and errors marked at their place. */

import * as React from 'react';

import { LIST_ID, rowId } from './list';
import { PickerModel } from './model';
import { completed, completesItself, inCharacters, markedParts } from './query';
import { nextItem } from './rows';

const COMPLETIONS_ID = 'spack-kernel-completions';

/** How many rows Page Up and Page Down move. */
const PAGE = 8;

interface Props {
  model: PickerModel;
  input: React.RefObject<HTMLInputElement>;
  onChoose: (index: number) => void;
}

export function SearchBox({ model, input, onChoose }: Props): React.JSX.Element {
  const mirror = React.useRef<HTMLDivElement>(null);
  const { completions, activeCompletion } = model;
  const error = model.queryError;
  const follow = () => {
    if (mirror.current && input.current) {
      mirror.current.scrollLeft = input.current.scrollLeft;
    }
  };
  React.useLayoutEffect(follow);

  const accept = (index: number) => {
    const item = completions?.items[index];
    if (!completions || !item) {
      return;
    }
    const { text, cursor } = completed(model.text, completions, item);
    model.closeCompletions();
    model.setText(text);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(cursor, cursor);
    });
  };

  const onChange = (event: React.ChangeEvent<HTMLInputElement>) => {
    const { value, selectionStart } = event.currentTarget;
    const position = selectionStart ?? value.length;
    model.setText(value);
    if (completesItself(value.slice(0, position))) {
      void model.complete(inCharacters(value, position));
    } else {
      model.closeCompletions();
    }
  };

  const onKeyDown = (event: React.KeyboardEvent<HTMLInputElement>) => {
    if (keyPressed(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  /** Act on a key; return whether it was one of ours. */
  const keyPressed = (event: React.KeyboardEvent<HTMLInputElement>): boolean => {
    const { key } = event;
    if (key === ' ' && event.ctrlKey) {
      const position = event.currentTarget.selectionStart ?? model.text.length;
      void model.complete(inCharacters(model.text, position));
      return true;
    }
    if (completions) {
      const last = completions.items.length - 1;
      const step = key === 'ArrowDown' ? 1 : key === 'ArrowUp' ? -1 : 0;
      if (step) {
        model.activeCompletion = Math.max(-1, Math.min(last, activeCompletion + step));
        model.setActive(model.active);
        return true;
      }
      if (key === 'Tab' || (key === 'Enter' && activeCompletion >= 0)) {
        accept(Math.max(0, activeCompletion));
        return true;
      }
      if (key === 'Enter') {
        model.closeCompletions();
        return keyPressed(event);
      }
      if (key === 'Escape') {
        model.closeCompletions();
        return true;
      }
      return false;
    }
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE };
    const step = steps[key];
    if (step !== undefined) {
      model.setActive(nextItem(model.rows, model.active, step));
      return true;
    }
    if (key === 'Enter') {
      const index = model.active < 0 ? nextItem(model.rows, -1, 1) : model.active;
      const row = model.rows[index];
      if (event.altKey && row?.kind === 'spec') {
        model.toggle(row.spec);
      } else if (row) {
        onChoose(index);
      }
      return true;
    }
    if (key === 'Escape' && model.text) {
      model.setText('');
      return true;
    }
    return false;
  };

  return (
    <div className="spack-kernel-search">
      <div className="spack-kernel-field">
        <div ref={mirror} className="spack-kernel-mirror" aria-hidden="true">
          {markedParts(model.text, error).map((part, index) => (
            <span key={index} className={part.isWrong ? 'spack-kernel-wrong' : ''}>
              {part.text}
            </span>
          ))}
        </div>
        <input
          ref={input}
          className="spack-kernel-input"
          type="text"
          role="combobox"
          aria-label="Search for an installed spec"
          aria-autocomplete="list"
          aria-expanded={completions !== null}
          aria-controls={completions ? COMPLETIONS_ID : LIST_ID}
          aria-activedescendant={
            completions && activeCompletion >= 0
              ? `${COMPLETIONS_ID}-${activeCompletion}`
              : model.active >= 0
                ? rowId(model.active)
                : undefined
          }
          aria-invalid={error?.position !== undefined}
          aria-describedby="spack-kernel-status"
          autoComplete="off"
          autoCorrect="off"
          spellCheck={false}
          placeholder="numpy, py-scipy@1.14: +mpi, PIL, /abc1234"
          value={model.text}
          onChange={onChange}
          onKeyDown={onKeyDown}
          onScroll={follow}
          onSelect={follow}
          onBlur={() => model.closeCompletions()}
        />
      </div>
      {completions && (
        <ul id={COMPLETIONS_ID} className="spack-kernel-completions" role="listbox">
          {completions.items.map((item, index) => (
            <li
              key={`${item.kind} ${item.text}`}
              id={`${COMPLETIONS_ID}-${index}`}
              ref={element => {
                if (index === activeCompletion) {
                  element?.scrollIntoView({ block: 'nearest' });
                }
              }}
              className={index === activeCompletion ? 'spack-kernel-mod-active' : ''}
              role="option"
              aria-selected={index === activeCompletion}
              onMouseDown={event => {
                event.preventDefault();
                accept(index);
              }}
            >
              <span>{item.text}</span>
              <span className="spack-kernel-detail">
                {item.kind}
                {item.detail ? `, ${item.detail}` : ''}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
