// Values that views read; a view renders again when a value changes.

import { useEffect, useReducer } from "preact/hooks";

export class Cell<T> {
  private readonly readers = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    for (const reader of this.readers) reader();
  }

  /** Calls the reader after every change, until the returned function is called. */
  listen(reader: () => void): () => void {
    this.readers.add(reader);
    return () => void this.readers.delete(reader);
  }
}

/** The value; the view renders again whenever it changes. */
export function use<T>(cell: Cell<T>): T {
  const [, draw] = useReducer((turn: number) => turn + 1, 0);
  const drawn = cell.get();
  useEffect(() => {
    // It may have changed since it was rendered.
    if (cell.get() !== drawn) draw(undefined as never);
    return cell.listen(() => draw(undefined as never));
  }, [cell]);
  return drawn;
}
