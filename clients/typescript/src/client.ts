import createClient, { type Client, type FetchOptions } from "openapi-fetch";
import type {
  FilterKeys,
  HttpMethod,
  PathsWithMethod,
  RequiredKeysOf,
  ResponseObjectMap,
  SuccessResponse,
} from "openapi-typescript-helpers";

import { Live, type LiveOptions, type SocketMaker } from "./live.js";
import { madeUp } from "./random.js";
import type { components, paths } from "./schema/api.js";
import { KEYED } from "./schema/facts.js";
import { inMemory, Session, type Tokens, type TokenStore } from "./session.js";
import { send, type Surroundings } from "./transport.js";

/** The schemas of the API by their names, for example `Schemas["BookingOut"]`. */
export type Schemas = components["schemas"];

type Operation<P extends keyof paths, M extends HttpMethod> = FilterKeys<paths[P], M>;

type Init<P extends keyof paths, M extends HttpMethod> = FetchOptions<Operation<P, M>>;

type Rest<I> = RequiredKeysOf<I> extends never ? [init?: I] : [init: I];

/** What an operation answers when it succeeds. */
export type Answer<P extends keyof paths, M extends HttpMethod> =
  Operation<P, M> extends infer O extends Record<string | number, unknown>
    ? SuccessResponse<ResponseObjectMap<O>>
    : never;

type Call<M extends HttpMethod> = <P extends PathsWithMethod<paths, M>>(
  path: P,
  ...init: Rest<Init<P, M>>
) => Promise<Answer<P, M>>;

/** The paths whose GET answers a list. */
type ListPath = {
  [P in PathsWithMethod<paths, "get">]: Answer<P, "get"> extends { next?: string | null; results: unknown[] } ? P : never;
}[PathsWithMethod<paths, "get">];

type Row<P extends ListPath> = Answer<P, "get"> extends { results: (infer R)[] } ? R : never;

export interface KaribuOptions {
  /** Where the server is, without a path: `https://karibu.example`. */
  url: string;
  /** Where the tokens lie; in memory unless said otherwise. */
  tokens?: TokenStore;
  /** The language of what people read: `fr`, or a function for one that changes. */
  language?: string | (() => string | null);
  /** Another `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
  /** What opens a websocket; the platform's own unless said otherwise (Node.js has none before 22). */
  socket?: SocketMaker;
}

/**
 * The API of one server, as one person.
 *
 * `get`, `post`, `put`, `patch` and `delete` take a path of the OpenAPI document and what its operation needs, answer its
 * body and throw a `Problem` when it is refused.
 */
export class Karibu {
  readonly session: Session;
  readonly get: Call<"get">;
  readonly post: Call<"post">;
  readonly put: Call<"put">;
  readonly patch: Call<"patch">;
  readonly delete: Call<"delete">;
  readonly #url: string;
  readonly #socket: SocketMaker | undefined;
  readonly #around: Surroundings;

  constructor(options: KaribuOptions) {
    this.#url = options.url.replace(/\/+$/, "");
    this.#socket = options.socket;
    const { language = null } = options;
    const around = {
      fetch: options.fetch ?? ((request: Request) => fetch(request)),
      language: typeof language === "function" ? language : () => language,
      pause: (ms: number) => new Promise<void>((done) => setTimeout(done, ms)),
    };
    const anonymous = this.#http({ ...around, session: null });
    this.session = new Session(options.tokens ?? inMemory(), async (refresh) => {
      const { data } = await anonymous.POST("/api/token/refresh/", { body: { refresh } });
      return data as Tokens;
    });
    this.#around = { ...around, session: this.session };
    const http = this.#http(this.#around);
    const call =
      <M extends HttpMethod>(method: M): Call<M> =>
      async (path, ...init) => {
        // The generic types meet in `Call`; openapi-fetch has them in another order.
        const ask = http.request as unknown as (...all: unknown[]) => Promise<{ data?: never }>;
        return (await ask(method, path, ...init)).data as never;
      };
    this.get = call("get");
    this.post = call("post");
    this.put = call("put");
    this.patch = call("patch");
    this.delete = call("delete");
  }

  /** Make an account and be signed in with it. */
  async register(account: Schemas["RegisterIn"]): Promise<Answer<"/api/register/", "post">> {
    const made = await this.post("/api/register/", { body: account });
    this.session.begin(made);
    return made;
  }

  /**
   * Sign in. With a second step on, this throws `mfa_required`, whose document has the `mfa_token` for
   * `POST /api/login/mfa/`; hand what that answers to `session.begin`.
   */
  async signIn(credentials: Schemas["LoginIn"]): Promise<Answer<"/api/login/", "post">> {
    const found = await this.post("/api/login/", { body: credentials });
    this.session.begin(found);
    return found;
  }

  /** Sign out: both tokens are dead at once. Here it is over also when the server cannot be told. */
  async signOut(): Promise<void> {
    try {
      if (this.session.token) await this.post("/api/logout/");
    } finally {
      this.session.end();
    }
  }

  /** All rows of a list, page after page as far as they are asked for: `for await (const place of karibu.each(...))`. */
  async *each<P extends ListPath>(path: P, ...init: Rest<Init<P, "get">>): AsyncGenerator<Row<P>, void, undefined> {
    type Page = { next?: string | null; results: Row<P>[] };
    let page = (await this.get(path, ...init)) as Page;
    for (;;) {
      yield* page.results;
      if (!page.next) return;
      page = (await this.follow(page.next)) as Page;
    }
  }

  /** GET an address that the server gave, such as `next` of a list, from this server alone. */
  async follow(address: string): Promise<unknown> {
    // The token goes nowhere else, whatever stands in an answer.
    const { pathname, search } = new URL(address, this.#url);
    const response = await send(new Request(`${this.#url}${pathname}${search}`), this.#around);
    return response.json();
  }

  /** The websocket of whoever is signed in; `open()` it. */
  live(options: LiveOptions = {}): Live {
    const ticket = () => this.post("/api/realtime/ticket/");
    return new Live(ticket, { ...(this.#socket ? { socket: this.#socket } : {}), ...options });
  }

  #http(around: Surroundings): Client<paths> {
    const http = createClient<paths>({ baseUrl: this.#url, fetch: (request) => send(request, around) });
    http.use({
      onRequest({ request, schemaPath }) {
        // One key for each call of ours: it is kept over all tries, since they send copies of this request.
        if (KEYED.has(`${request.method} ${schemaPath}`) && !request.headers.has("Idempotency-Key")) {
          request.headers.set("Idempotency-Key", madeUp());
        }
        return request;
      },
    });
    return http;
  }
}
