import { Problem, retryAfter } from "./problem.js";
import type { Session } from "./session.js";

const TRIES = 3;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_S = 20;

const KEY = "Idempotency-Key";

/** What a transport needs to know of the world. */
export interface Surroundings {
  fetch: (request: Request) => Promise<Response>;
  session: Session | null;
  language: () => string | null;
  pause: (ms: number) => Promise<void>;
}

/**
 * Send a request and answer what came back, or throw a `Problem`.
 *
 * An old access token is made new once. What may be repeated without harm, a GET, a PUT and a POST with an
 * `Idempotency-Key`, is tried again where the network or the server fails; the key stays the same, so the server does it
 * once.
 */
export async function send(request: Request, { fetch, session, language, pause }: Surroundings): Promise<Response> {
  const tongue = language();
  if (tongue && !request.headers.has("Accept-Language")) request.headers.set("Accept-Language", tongue);
  let hasRenewed = false;
  for (let tried = 1; ; tried += 1) {
    const token = request.headers.has("Authorization") ? null : (session?.token ?? null);
    const attempt = request.clone();
    if (token) attempt.headers.set("Authorization", `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(attempt);
    } catch (error) {
      if (tried === TRIES || request.signal.aborted || !mayRepeat(request)) throw error;
      await pause(between(tried));
      continue;
    }
    if (response.ok || response.status === 304) return response;
    if (response.status === 401 && session && token && !hasRenewed) {
      hasRenewed = true;
      tried -= 1;
      if (await session.renewed(token)) continue;
    }
    const problem = await Problem.of(response);
    if (tried >= TRIES || !isPassing(problem) || !mayRepeat(request)) throw problem;
    await pause(between(tried, retryAfter(response)));
  }
}

/** Whether the same call may succeed later: the server restarts, or a first try is still under way. */
function isPassing(problem: Problem): boolean {
  if (problem.code === "feature_off") return false;
  return [502, 503, 504].includes(problem.status) || problem.code === "request_in_progress";
}

/** A DELETE and a PUT of a version are refused the second time although the first one did it. */
function mayRepeat({ method, headers }: Request): boolean {
  if (method === "POST") return headers.has(KEY);
  return method === "GET" || method === "HEAD" || (method === "PUT" && !headers.has("If-Match"));
}

/** Milliseconds to wait, with chance in it so that clients do not come back all at once. */
function between(tried: number, seconds: number | null = null): number {
  if (seconds !== null) return Math.min(seconds, LONGEST_PAUSE_S) * 1000;
  return FIRST_PAUSE_MS * 2 ** (tried - 1) * (0.5 + Math.random() / 2);
}
