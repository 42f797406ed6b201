import { isProblem, Problem } from "./problem.js";
import { Order } from "./order.js";
import { madeUp } from "./random.js";
import type { ClientFrames, ServerFrames } from "./schema/events.js";

/** What `WebSocket` is to us; browsers and Node.js from 22 on have it, `ws` is one as well. */
export interface Socket {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number): void;
  addEventListener(type: "message", hear: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", hear: (event: { code: number }) => void): void;
  addEventListener(type: "error", hear: () => void): void;
}

export type SocketMaker = (url: string) => Socket;

/** The codes with which the server closes a socket. */
export const CLOSED = {
  SIGNED_OUT: 4401,
  BLOCKED: 4403,
  NO_PONG: 4408,
  FLOOD: 4429,
  BINARY: 1003,
  NOT_UTF8: 1007,
  TOO_BIG: 1009,
  RESTART: 1012,
  TOO_SLOW: 1013,
} as const;

/** `waiting`: the connection is lost and comes back by itself. `ended`: it does not, nobody is signed in any more. */
export type State = "closed" | "connecting" | "open" | "waiting" | "ended";

export interface LiveOptions {
  /** The id of the last event that was seen, for example before the page was left; all after it are told. */
  after?: number;
  socket?: SocketMaker;
  /** The first and the longest pause before connecting again, in milliseconds. */
  pause?: { first: number; longest: number };
}

type Ticket = () => Promise<{ ticket: string; url: string }>;
type Name = keyof ServerFrames;
type Hear<N extends Name> = (frame: ServerFrames[N]) => void;
type Said<N extends keyof ClientFrames> = NonNullable<ClientFrames[N]["data"]>;

interface Letter {
  data: Said<"message.send">;
  resolve: (frame: ServerFrames["message"]) => void;
  reject: (error: unknown) => void;
}

const OPEN = 1;
const EVENTS: ReadonlySet<string> = new Set(["notification", "message", "message.read", "booking"]);

/** After a flood the first pause is this much longer. */
const FLOOD_PAUSE = 10;

/** How long an event that came too early waits for the ones before it, which a server may have forgotten long ago. */
const PATIENCE_MS = 10_000;

/**
 * The live events of whoever is signed in. It connects with a ticket, comes back by itself after a pause that grows,
 * and asks for what was missed: each event is told once and in its order.
 */
export class Live {
  readonly #ticket: Ticket;
  readonly #make: SocketMaker;
  readonly #pause: { first: number; longest: number };
  readonly #order: Order<ServerFrames["message" | "notification" | "message.read" | "booking"]>;
  readonly #ears = new Map<string, Set<(frame: never) => void>>();
  readonly #watchers = new Set<(state: State, code: number | null) => void>();
  readonly #letters = new Map<string, Letter>();
  #socket: Socket | null = null;
  #state: State = "closed";
  #tries = 0;
  #userId: number | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #late: ReturnType<typeof setTimeout> | undefined;
  #heardAt = 0;

  constructor(ticket: Ticket, { after, socket, pause }: LiveOptions = {}) {
    this.#ticket = ticket;
    this.#make = socket ?? ((url) => new WebSocket(url));
    this.#pause = pause ?? { first: 500, longest: 30_000 };
    this.#order = new Order((frame) => this.#tell(frame), after);
  }

  get state(): State {
    return this.#state;
  }

  /** The id of the last event that was told; hand it to the next `Live` as `after`. Undefined before `hello`. */
  get lastEventId(): number | undefined {
    return this.#order.last;
  }

  /** Hear frames of a type. Answers how to stop. */
  on<N extends Name>(type: N, hear: Hear<N>): () => void {
    const ears = this.#ears.get(type) ?? new Set();
    this.#ears.set(type, ears.add(hear as (frame: never) => void));
    return () => ears.delete(hear as (frame: never) => void);
  }

  /** Hear of changes of the connection, with the code with which a socket was closed. Answers how to stop. */
  onState(hear: (state: State, code: number | null) => void): () => void {
    this.#watchers.add(hear);
    return () => this.#watchers.delete(hear);
  }

  /** Connect, and stay connected until `close()` or the end of the session. */
  open(): void {
    if (this.#state === "closed" || this.#state === "ended") void this.#connect();
  }

  /** Leave. Letters that the server has not answered are refused. */
  close(): void {
    this.#leave("closed", null, new Error("The connection was closed."));
  }

  /** Say something that needs no answer. Says whether there was somebody to hear it. */
  say<N extends Exclude<keyof ClientFrames, "message.send" | "resume">>(type: N, data: Said<N>): boolean {
    return this.#say(type, data);
  }

  /**
   * Write a message; answers it as it was stored. Without a connection it waits for the next one: it is sent again with
   * the same `client_id`, so the server stores it once. Throws the `Problem` with which it is refused.
   */
  write(conversationId: number, body: string, attachmentIds: number[] = []): Promise<ServerFrames["message"]> {
    const client_id = madeUp();
    const data = { conversation_id: conversationId, body, client_id, attachment_ids: attachmentIds };
    return new Promise((resolve, reject) => {
      if (this.#state === "closed" || this.#state === "ended") {
        reject(new Error("There is no connection; open() it first."));
        return;
      }
      this.#letters.set(client_id, { data, resolve, reject });
      if (this.#state === "open") this.#say("message.send", data);
    });
  }

  async #connect(): Promise<void> {
    this.#become("connecting", null);
    let url: string;
    try {
      ({ url } = await this.#ticket());
    } catch (error) {
      // While we asked somebody may have called close().
      if (this.#state !== "connecting") return;
      if (isProblem(error) && [401, 403].includes(error.status)) this.#leave("ended", null, error);
      else this.#wait(null, isProblem(error) ? error.retryAfter : null);
      return;
    }
    if (this.#state !== "connecting") return;
    const socket = this.#make(url);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#hear(JSON.parse(String(data)) as ServerFrames[Name]);
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    });
    // Each error is followed by a close, which says more.
    socket.addEventListener("error", () => undefined);
  }

  #closed(code: number): void {
    this.#drop();
    // A ticket's socket lives as long as its session, so these two are for good.
    if (code === CLOSED.SIGNED_OUT || code === CLOSED.BLOCKED) {
      this.#leave("ended", code, new Error(`The server closed the connection (${code}).`));
    } else {
      this.#wait(code, code === CLOSED.FLOOD ? (this.#pause.first * FLOOD_PAUSE) / 1000 : null);
    }
  }

  #wait(code: number | null, atLeastS: number | null): void {
    const { first, longest } = this.#pause;
    const pause = Math.min(first * 2 ** this.#tries, longest) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#become("waiting", code);
    this.#again = setTimeout(() => void this.#connect(), Math.max(pause, (atLeastS ?? 0) * 1000));
  }

  #leave(state: "closed" | "ended", code: number | null, error: unknown): void {
    clearTimeout(this.#again);
    const socket = this.#socket;
    this.#drop();
    socket?.close(1000);
    this.#tries = 0;
    const letters = [...this.#letters.values()];
    this.#letters.clear();
    this.#become(state, code);
    for (const letter of letters) letter.reject(error);
  }

  #drop(): void {
    clearInterval(this.#beat);
    clearTimeout(this.#late);
    this.#socket = null;
  }

  #become(state: State, code: number | null): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const tell of this.#watchers) tell(state, code);
  }

  #hear(frame: ServerFrames[Name]): void {
    this.#heardAt = Date.now();
    if (frame.type === "hello") this.#greet(frame.data);
    if (EVENTS.has(frame.type)) {
      this.#order.take(frame as ServerFrames["message"]);
      clearTimeout(this.#late);
      if (this.#order.isWaiting) this.#late = setTimeout(() => this.#order.settle(), PATIENCE_MS);
      return;
    }
    if (frame.type === "error") this.#refuse(frame.data);
    this.#tell(frame);
  }

  /** The server holds back what is new for a moment after its hello, so the place to resume from is said at once. */
  #greet({ user_id, last_event_id, heartbeat_s }: ServerFrames["hello"]["data"]): void {
    const isSomebodyElse = this.#userId !== null && this.#userId !== user_id;
    this.#userId = user_id;
    this.#tries = 0;
    const from = this.#order.begin(last_event_id, isSomebodyElse);
    if (from !== null) this.#say("resume", { last_event_id: from });
    this.#beat = setInterval(() => this.#check(heartbeat_s * 1000), (heartbeat_s * 1000) / 2);
    this.#become("open", null);
    for (const { data } of this.#letters.values()) this.#say("message.send", data);
  }

  #check(heartbeatMs: number): void {
    if (Date.now() - this.#heardAt < heartbeatMs * 1.5) {
      this.#say("ping", {});
      return;
    }
    // Nothing comes any more: a connection that is dead without knowing it.
    const socket = this.#socket;
    this.#drop();
    socket?.close();
    this.#wait(CLOSED.NO_PONG, null);
  }

  #refuse(data: ServerFrames["error"]["data"]): void {
    const letter = data.client_id ? this.#letters.get(data.client_id) : undefined;
    if (!letter || !data.client_id) return;
    this.#letters.delete(data.client_id);
    letter.reject(new Problem({ ...data }, data.status, data.retry_after ?? null));
  }

  #tell(frame: ServerFrames[Name]): void {
    if (frame.type === "message" && frame.data.client_id) {
      this.#letters.get(frame.data.client_id)?.resolve(frame);
      this.#letters.delete(frame.data.client_id);
    }
    for (const hear of this.#ears.get(frame.type) ?? []) hear(frame as never);
  }

  #say<N extends keyof ClientFrames>(type: N, data: Said<N>): boolean {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify({ type, data }));
    return true;
  }
}
