export { Karibu, type Answer, type KaribuOptions, type Schemas } from "./client.js";
export { CLOSED, Live, type LiveOptions, type Socket, type SocketMaker, type State } from "./live.js";
export { isProblem, Problem, type Code, type Violation } from "./problem.js";
export { inMemory, inStorage, Session, type Tokens, type TokenStore } from "./session.js";
export type { paths } from "./schema/api.js";
export type { ClientFrames, ServerFrames } from "./schema/events.js";
export type { KnownCode } from "./schema/facts.js";
