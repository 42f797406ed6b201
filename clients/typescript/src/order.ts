/** Something with a place in the order of one's events. */
interface Numbered {
  id: number;
}

/**
 * Events in their order, each once. After a `resume` the server tells again what was missed; what is new may have come
 * before that where the way is long, and waits here until its turn.
 */
export class Order<E extends Numbered> {
  readonly #deliver: (event: E) => void;
  readonly #early = new Map<number, E>();
  #last: number | undefined;
  #missedUpTo = 0;

  /** `after`: the last event that was seen at another time. */
  constructor(deliver: (event: E) => void, after?: number) {
    this.#deliver = deliver;
    this.#last = after;
  }

  /** The last event that was delivered; undefined when none is known. */
  get last(): number | undefined {
    return this.#last;
  }

  /** Whether events wait for others that come before them. */
  get isWaiting(): boolean {
    return this.#early.size > 0;
  }

  /**
   * A connection begins at which the server stands at `newest`. Answers after which event to resume, or null when
   * nothing was missed. A server that stands behind us was set back, and somebody else has other numbers.
   */
  begin(newest: number, isSomebodyElse: boolean): number | null {
    this.#early.clear();
    if (this.#last === undefined || isSomebodyElse || this.#last > newest) this.#last = newest;
    this.#missedUpTo = newest;
    return this.#last < newest ? this.#last : null;
  }

  /** An event came. */
  take(event: E): void {
    const last = this.#last ?? 0;
    if (event.id <= last) return;
    const isMissing = last < this.#missedUpTo && event.id > this.#missedUpTo;
    if (isMissing && !this.#early.has(event.id)) {
      this.#early.set(event.id, event);
      return;
    }
    if (isMissing) {
      // It came a second time, so the server has told all before it that it still knows.
      this.settle();
      return;
    }
    this.#pass(event);
    if (event.id >= this.#missedUpTo) this.settle();
  }

  /** Deliver what waits, in its order. */
  settle(): void {
    const waiting = [...this.#early.values()].sort((one, other) => one.id - other.id);
    this.#early.clear();
    for (const event of waiting) this.#pass(event);
  }

  #pass(event: E): void {
    if (event.id <= (this.#last ?? 0)) return;
    this.#last = event.id;
    this.#deliver(event);
  }
}
