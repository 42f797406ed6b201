import type { KnownCode } from "./schema/facts.js";

/** The stable word of a refusal. New ones may come with a new server, so a `switch` needs a default. */
export type Code = KnownCode | (string & {});

/** One refused field of a 422. */
export interface Violation {
  field: string;
  code: string;
  message: string;
}

/** What the server says when it refuses: a problem document (RFC 9457). Act on `code`, show `message`. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly code: Code;
  readonly title: string;
  readonly requestId: string | null;
  /** The refused fields of a 422; empty for all others. */
  readonly errors: readonly Violation[];
  /** Seconds after which it makes sense to try again, where the server says so. */
  readonly retryAfter: number | null;
  /** The whole document, with members of its own such as the new `quote` of a `price_changed`. */
  readonly document: Readonly<Record<string, unknown>>;

  constructor(document: Record<string, unknown>, status: number, retryAfter: number | null = null) {
    const text = (name: string) => (typeof document[name] === "string" ? (document[name] as string) : "");
    super(text("detail") || text("title") || `HTTP ${status}`);
    this.status = status;
    this.code = text("code") || "unknown";
    this.title = text("title");
    this.requestId = text("request_id") || null;
    this.errors = Array.isArray(document["errors"]) ? (document["errors"] as Violation[]) : [];
    this.retryAfter = retryAfter;
    this.document = document;
  }

  /** The problem that an answer carries; what lies between may have answered in words of its own. */
  static async of(response: Response): Promise<Problem> {
    const isJson = /\bjson\b/.test(response.headers.get("Content-Type") ?? "");
    const body: unknown = isJson ? await response.json().catch(() => null) : null;
    const document = body && typeof body === "object" ? (body as Record<string, unknown>) : {};
    return new Problem(document, response.status, retryAfter(response));
  }
}

/** Whether an error is a refusal with this code. */
export function isProblem(error: unknown, ...codes: Code[]): error is Problem {
  return error instanceof Problem && (codes.length === 0 || codes.includes(error.code));
}

/** Seconds of `Retry-After`; the server sends it as a number. */
export function retryAfter(response: Response): number | null {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}
