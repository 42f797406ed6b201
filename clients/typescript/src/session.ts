import { isProblem, Problem } from "./problem.js";

/** The pair that register, login and refresh answer. */
export interface Tokens {
  token: string;
  refresh: string;
}

/** Where the pair lies between two calls, or two visits. */
export interface TokenStore {
  read(): Tokens | null;
  write(tokens: Tokens | null): void;
}

/** Keeps the pair for as long as the program runs. */
export function inMemory(tokens: Tokens | null = null): TokenStore {
  let kept = tokens;
  return {
    read: () => kept,
    write: (next) => {
      kept = next;
    },
  };
}

/** Keeps the pair in a browser's storage, for all tabs of the page. */
export function inStorage(storage: Storage, key = "karibu"): TokenStore {
  return {
    read: () => {
      const text = storage.getItem(key);
      return text ? (JSON.parse(text) as Tokens) : null;
    },
    write: (tokens) => {
      if (tokens) storage.setItem(key, JSON.stringify(tokens));
      else storage.removeItem(key);
    },
  };
}

/** Who is signed in, and how the access token is made new: once, however many calls find it old at the same time. */
export class Session {
  readonly #store: TokenStore;
  readonly #refresh: (refresh: string) => Promise<Tokens>;
  readonly #ended = new Set<() => void>();
  #underWay: Promise<string | null> | null = null;

  constructor(store: TokenStore, refresh: (refresh: string) => Promise<Tokens>) {
    this.#store = store;
    this.#refresh = refresh;
  }

  /** The access token that calls carry; null for nobody. */
  get token(): string | null {
    return this.#store.read()?.token ?? null;
  }

  /** Begin with a pair that register or login answered, or one that was kept. */
  begin(tokens: Tokens): void {
    this.#store.write({ token: tokens.token, refresh: tokens.refresh });
  }

  /** Forget the pair; whoever listens is told. */
  end(): void {
    if (!this.#store.read()) return;
    this.#store.write(null);
    for (const tell of this.#ended) tell();
  }

  /** Be told when the session is over: signed out here, or ended by the server. Answers how to stop listening. */
  onEnd(tell: () => void): () => void {
    this.#ended.add(tell);
    return () => this.#ended.delete(tell);
  }

  /**
   * A token other than `stale`, or null when there is no session any more. Another tab may have made it already.
   * Throws what the network throws: a lost connection ends no session.
   */
  async renewed(stale: string): Promise<string | null> {
    const tokens = this.#store.read();
    if (!tokens) return null;
    if (tokens.token !== stale) return tokens.token;
    this.#underWay ??= this.#renew(tokens).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #renew(tokens: Tokens): Promise<string | null> {
    try {
      const next = await this.#refresh(tokens.refresh);
      // Signed out or signed in anew meanwhile: what came back belongs to nobody.
      if (this.#store.read()?.refresh === tokens.refresh) this.begin(next);
      return this.token;
    } catch (error) {
      if (!isProblem(error) || !isOver(error)) throw error;
      if (this.#store.read()?.refresh === tokens.refresh) this.end();
      return this.token;
    }
  }
}

function isOver(problem: Problem): boolean {
  return problem.status === 401 || problem.status === 422;
}
