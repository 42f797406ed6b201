// Made of clients/typescript by npm run demo. Change its source instead.
// Has in it openapi-fetch 0.17.0, Copyright (c) 2023 Drew Powers, MIT licence.

// node_modules/openapi-fetch/dist/index.mjs
var PATH_PARAM_RE = /\{[^{}]+\}/g;
var supportsRequestInitExt = () => {
  return typeof process === "object" && Number.parseInt(process?.versions?.node?.substring(0, 2)) >= 18 && process.versions.undici;
};
function randomID() {
  return Math.random().toString(36).slice(2, 11);
}
function createClient(clientOptions) {
  let {
    baseUrl = "",
    Request: CustomRequest = globalThis.Request,
    fetch: baseFetch = globalThis.fetch,
    querySerializer: globalQuerySerializer,
    bodySerializer: globalBodySerializer,
    pathSerializer: globalPathSerializer,
    headers: baseHeaders,
    requestInitExt = void 0,
    ...baseOptions
  } = { ...clientOptions };
  requestInitExt = supportsRequestInitExt() ? requestInitExt : void 0;
  baseUrl = removeTrailingSlash(baseUrl);
  const globalMiddlewares = [];
  async function coreFetch(schemaPath, fetchOptions) {
    const {
      baseUrl: localBaseUrl,
      fetch: fetch2 = baseFetch,
      Request: Request2 = CustomRequest,
      headers,
      params = {},
      parseAs = "json",
      querySerializer: requestQuerySerializer,
      bodySerializer = globalBodySerializer ?? defaultBodySerializer,
      pathSerializer: requestPathSerializer,
      body,
      middleware: requestMiddlewares = [],
      ...init
    } = fetchOptions || {};
    let finalBaseUrl = baseUrl;
    if (localBaseUrl) {
      finalBaseUrl = removeTrailingSlash(localBaseUrl) ?? baseUrl;
    }
    let querySerializer = typeof globalQuerySerializer === "function" ? globalQuerySerializer : createQuerySerializer(globalQuerySerializer);
    if (requestQuerySerializer) {
      querySerializer = typeof requestQuerySerializer === "function" ? requestQuerySerializer : createQuerySerializer({
        ...typeof globalQuerySerializer === "object" ? globalQuerySerializer : {},
        ...requestQuerySerializer
      });
    }
    const pathSerializer = requestPathSerializer || globalPathSerializer || defaultPathSerializer;
    const serializedBody = body === void 0 ? void 0 : bodySerializer(
      body,
      // Note: we declare mergeHeaders() both here and below because it’s a bit of a chicken-or-egg situation:
      // bodySerializer() needs all headers so we aren’t dropping ones set by the user, however,
      // the result of this ALSO sets the lowest-priority content-type header. So we re-merge below,
      // setting the content-type at the very beginning to be overwritten.
      // Lastly, based on the way headers work, it’s not a simple “present-or-not” check becauase null intentionally un-sets headers.
      mergeHeaders(baseHeaders, headers, params.header)
    );
    const finalHeaders = mergeHeaders(
      // with no body, we should not to set Content-Type
      serializedBody === void 0 || // if serialized body is FormData; browser will correctly set Content-Type & boundary expression
      serializedBody instanceof FormData ? {} : {
        "Content-Type": "application/json"
      },
      baseHeaders,
      headers,
      params.header
    );
    const finalMiddlewares = [...globalMiddlewares, ...requestMiddlewares];
    const requestInit = {
      redirect: "follow",
      ...baseOptions,
      ...init,
      body: serializedBody,
      headers: finalHeaders
    };
    let id;
    let options;
    let request = new Request2(
      createFinalURL(schemaPath, { baseUrl: finalBaseUrl, params, querySerializer, pathSerializer }),
      requestInit
    );
    let response;
    for (const key in init) {
      if (!(key in request)) {
        request[key] = init[key];
      }
    }
    if (finalMiddlewares.length) {
      id = randomID();
      options = Object.freeze({
        baseUrl: finalBaseUrl,
        fetch: fetch2,
        parseAs,
        querySerializer,
        bodySerializer,
        pathSerializer
      });
      for (const m of finalMiddlewares) {
        if (m && typeof m === "object" && typeof m.onRequest === "function") {
          const result = await m.onRequest({
            request,
            schemaPath,
            params,
            options,
            id
          });
          if (result) {
            if (result instanceof Request2) {
              request = result;
            } else if (result instanceof Response) {
              response = result;
              break;
            } else {
              throw new Error("onRequest: must return new Request() or Response() when modifying the request");
            }
          }
        }
      }
    }
    if (!response) {
      try {
        response = await fetch2(request, requestInitExt);
      } catch (error2) {
        let errorAfterMiddleware = error2;
        if (finalMiddlewares.length) {
          for (let i = finalMiddlewares.length - 1; i >= 0; i--) {
            const m = finalMiddlewares[i];
            if (m && typeof m === "object" && typeof m.onError === "function") {
              const result = await m.onError({
                request,
                error: errorAfterMiddleware,
                schemaPath,
                params,
                options,
                id
              });
              if (result) {
                if (result instanceof Response) {
                  errorAfterMiddleware = void 0;
                  response = result;
                  break;
                }
                if (result instanceof Error) {
                  errorAfterMiddleware = result;
                  continue;
                }
                throw new Error("onError: must return new Response() or instance of Error");
              }
            }
          }
        }
        if (errorAfterMiddleware) {
          throw errorAfterMiddleware;
        }
      }
      if (finalMiddlewares.length) {
        for (let i = finalMiddlewares.length - 1; i >= 0; i--) {
          const m = finalMiddlewares[i];
          if (m && typeof m === "object" && typeof m.onResponse === "function") {
            const result = await m.onResponse({
              request,
              response,
              schemaPath,
              params,
              options,
              id
            });
            if (result) {
              if (!(result instanceof Response)) {
                throw new Error("onResponse: must return new Response() when modifying the response");
              }
              response = result;
            }
          }
        }
      }
    }
    const contentLength = response.headers.get("Content-Length");
    if (response.status === 204 || request.method === "HEAD" || contentLength === "0" && !response.headers.get("Transfer-Encoding")?.includes("chunked")) {
      return response.ok ? { data: void 0, response } : { error: void 0, response };
    }
    if (response.ok) {
      const getResponseData = async () => {
        if (parseAs === "stream") {
          return response.body;
        }
        if (parseAs === "json" && !contentLength) {
          const raw = await response.text();
          return raw ? JSON.parse(raw) : void 0;
        }
        return await response[parseAs]();
      };
      return { data: await getResponseData(), response };
    }
    let error = await response.text();
    try {
      error = JSON.parse(error);
    } catch {
    }
    return { error, response };
  }
  return {
    request(method, url, init) {
      return coreFetch(url, { ...init, method: method.toUpperCase() });
    },
    /** Call a GET endpoint */
    GET(url, init) {
      return coreFetch(url, { ...init, method: "GET" });
    },
    /** Call a PUT endpoint */
    PUT(url, init) {
      return coreFetch(url, { ...init, method: "PUT" });
    },
    /** Call a POST endpoint */
    POST(url, init) {
      return coreFetch(url, { ...init, method: "POST" });
    },
    /** Call a DELETE endpoint */
    DELETE(url, init) {
      return coreFetch(url, { ...init, method: "DELETE" });
    },
    /** Call a OPTIONS endpoint */
    OPTIONS(url, init) {
      return coreFetch(url, { ...init, method: "OPTIONS" });
    },
    /** Call a HEAD endpoint */
    HEAD(url, init) {
      return coreFetch(url, { ...init, method: "HEAD" });
    },
    /** Call a PATCH endpoint */
    PATCH(url, init) {
      return coreFetch(url, { ...init, method: "PATCH" });
    },
    /** Call a TRACE endpoint */
    TRACE(url, init) {
      return coreFetch(url, { ...init, method: "TRACE" });
    },
    /** Register middleware */
    use(...middleware) {
      for (const m of middleware) {
        if (!m) {
          continue;
        }
        if (typeof m !== "object" || !("onRequest" in m || "onResponse" in m || "onError" in m)) {
          throw new Error("Middleware must be an object with one of `onRequest()`, `onResponse() or `onError()`");
        }
        globalMiddlewares.push(m);
      }
    },
    /** Unregister middleware */
    eject(...middleware) {
      for (const m of middleware) {
        const i = globalMiddlewares.indexOf(m);
        if (i !== -1) {
          globalMiddlewares.splice(i, 1);
        }
      }
    }
  };
}
function serializePrimitiveParam(name, value, options) {
  if (value === void 0 || value === null) {
    return "";
  }
  if (typeof value === "object") {
    throw new Error(
      "Deeply-nested arrays/objects aren’t supported. Provide your own `querySerializer()` to handle these."
    );
  }
  return `${name}=${options?.allowReserved === true ? value : encodeURIComponent(value)}`;
}
function serializeObjectParam(name, value, options) {
  if (!value || typeof value !== "object") {
    return "";
  }
  const values = [];
  const joiner = {
    simple: ",",
    label: ".",
    matrix: ";"
  }[options.style] || "&";
  if (options.style !== "deepObject" && options.explode === false) {
    for (const k in value) {
      values.push(k, options.allowReserved === true ? value[k] : encodeURIComponent(value[k]));
    }
    const final2 = values.join(",");
    switch (options.style) {
      case "form": {
        return `${name}=${final2}`;
      }
      case "label": {
        return `.${final2}`;
      }
      case "matrix": {
        return `;${name}=${final2}`;
      }
      default: {
        return final2;
      }
    }
  }
  for (const k in value) {
    const finalName = options.style === "deepObject" ? `${name}[${k}]` : k;
    values.push(serializePrimitiveParam(finalName, value[k], options));
  }
  const final = values.join(joiner);
  return options.style === "label" || options.style === "matrix" ? `${joiner}${final}` : final;
}
function serializeArrayParam(name, value, options) {
  if (!Array.isArray(value)) {
    return "";
  }
  if (options.explode === false) {
    const joiner2 = { form: ",", spaceDelimited: "%20", pipeDelimited: "|" }[options.style] || ",";
    const final = (options.allowReserved === true ? value : value.map((v) => encodeURIComponent(v))).join(joiner2);
    switch (options.style) {
      case "simple": {
        return final;
      }
      case "label": {
        return `.${final}`;
      }
      case "matrix": {
        return `;${name}=${final}`;
      }
      // case "spaceDelimited":
      // case "pipeDelimited":
      default: {
        return `${name}=${final}`;
      }
    }
  }
  const joiner = { simple: ",", label: ".", matrix: ";" }[options.style] || "&";
  const values = [];
  for (const v of value) {
    if (options.style === "simple" || options.style === "label") {
      values.push(options.allowReserved === true ? v : encodeURIComponent(v));
    } else {
      values.push(serializePrimitiveParam(name, v, options));
    }
  }
  return options.style === "label" || options.style === "matrix" ? `${joiner}${values.join(joiner)}` : values.join(joiner);
}
function createQuerySerializer(options) {
  return function querySerializer(queryParams) {
    const search2 = [];
    if (queryParams && typeof queryParams === "object") {
      for (const name in queryParams) {
        const value = queryParams[name];
        if (value === void 0 || value === null) {
          continue;
        }
        if (Array.isArray(value)) {
          if (value.length === 0) {
            continue;
          }
          search2.push(
            serializeArrayParam(name, value, {
              style: "form",
              explode: true,
              ...options?.array,
              allowReserved: options?.allowReserved || false
            })
          );
          continue;
        }
        if (typeof value === "object") {
          search2.push(
            serializeObjectParam(name, value, {
              style: "deepObject",
              explode: true,
              ...options?.object,
              allowReserved: options?.allowReserved || false
            })
          );
          continue;
        }
        search2.push(serializePrimitiveParam(name, value, options));
      }
    }
    return search2.join("&");
  };
}
function defaultPathSerializer(pathname, pathParams) {
  let nextURL = pathname;
  for (const match of pathname.match(PATH_PARAM_RE) ?? []) {
    let name = match.substring(1, match.length - 1);
    let explode = false;
    let style = "simple";
    if (name.endsWith("*")) {
      explode = true;
      name = name.substring(0, name.length - 1);
    }
    if (name.startsWith(".")) {
      style = "label";
      name = name.substring(1);
    } else if (name.startsWith(";")) {
      style = "matrix";
      name = name.substring(1);
    }
    if (!pathParams || pathParams[name] === void 0 || pathParams[name] === null) {
      continue;
    }
    const value = pathParams[name];
    if (Array.isArray(value)) {
      nextURL = nextURL.replace(match, serializeArrayParam(name, value, { style, explode }));
      continue;
    }
    if (typeof value === "object") {
      nextURL = nextURL.replace(match, serializeObjectParam(name, value, { style, explode }));
      continue;
    }
    if (style === "matrix") {
      nextURL = nextURL.replace(match, `;${serializePrimitiveParam(name, value)}`);
      continue;
    }
    nextURL = nextURL.replace(match, style === "label" ? `.${encodeURIComponent(value)}` : encodeURIComponent(value));
  }
  return nextURL;
}
function defaultBodySerializer(body, headers) {
  if (body instanceof FormData) {
    return body;
  }
  if (headers) {
    const contentType = headers.get instanceof Function ? headers.get("Content-Type") ?? headers.get("content-type") : headers["Content-Type"] ?? headers["content-type"];
    if (contentType === "application/x-www-form-urlencoded") {
      return new URLSearchParams(body).toString();
    }
  }
  return JSON.stringify(body);
}
function createFinalURL(pathname, options) {
  let finalURL = `${options.baseUrl}${pathname}`;
  if (options.params?.path) {
    finalURL = options.pathSerializer(finalURL, options.params.path);
  }
  let search2 = options.querySerializer(options.params.query ?? {});
  if (search2.startsWith("?")) {
    search2 = search2.substring(1);
  }
  if (search2) {
    finalURL += `?${search2}`;
  }
  return finalURL;
}
function mergeHeaders(...allHeaders) {
  const finalHeaders = new Headers();
  for (const h of allHeaders) {
    if (!h || typeof h !== "object") {
      continue;
    }
    const iterator = h instanceof Headers ? h.entries() : Object.entries(h);
    for (const [k, v] of iterator) {
      if (v === null) {
        finalHeaders.delete(k);
      } else if (Array.isArray(v)) {
        for (const v2 of v) {
          finalHeaders.append(k, v2);
        }
      } else if (v !== void 0) {
        finalHeaders.set(k, v);
      }
    }
  }
  return finalHeaders;
}
function removeTrailingSlash(url) {
  if (url.endsWith("/")) {
    return url.substring(0, url.length - 1);
  }
  return url;
}

// src/problem.ts
var Problem = class _Problem extends Error {
  name = "Problem";
  status;
  code;
  title;
  requestId;
  /** The refused fields of a 422; empty for all others. */
  errors;
  /** Seconds after which it makes sense to try again, where the server says so. */
  retryAfter;
  /** The whole document, with members of its own such as the new `quote` of a `price_changed`. */
  document;
  constructor(document2, status, retryAfter2 = null) {
    const text = (name) => typeof document2[name] === "string" ? document2[name] : "";
    super(text("detail") || text("title") || `HTTP ${status}`);
    this.status = status;
    this.code = text("code") || "unknown";
    this.title = text("title");
    this.requestId = text("request_id") || null;
    this.errors = Array.isArray(document2["errors"]) ? document2["errors"] : [];
    this.retryAfter = retryAfter2;
    this.document = document2;
  }
  /** The problem that an answer carries; what lies between may have answered in words of its own. */
  static async of(response) {
    const isJson = /\bjson\b/.test(response.headers.get("Content-Type") ?? "");
    const body = isJson ? await response.json().catch(() => null) : null;
    const document2 = body && typeof body === "object" ? body : {};
    return new _Problem(document2, response.status, retryAfter(response));
  }
};
function isProblem(error, ...codes) {
  return error instanceof Problem && (codes.length === 0 || codes.includes(error.code));
}
function retryAfter(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}

// src/order.ts
var Order = class {
  #deliver;
  #early = /* @__PURE__ */ new Map();
  #last;
  #missedUpTo = 0;
  /** `after`: the last event that was seen at another time. */
  constructor(deliver, after) {
    this.#deliver = deliver;
    this.#last = after;
  }
  /** The last event that was delivered; undefined when none is known. */
  get last() {
    return this.#last;
  }
  /** Whether events wait for others that come before them. */
  get isWaiting() {
    return this.#early.size > 0;
  }
  /**
   * A connection begins at which the server stands at `newest`. Answers after which event to resume, or null when
   * nothing was missed. A server that stands behind us was set back, and somebody else has other numbers.
   */
  begin(newest, isSomebodyElse) {
    this.#early.clear();
    if (this.#last === void 0 || isSomebodyElse || this.#last > newest) this.#last = newest;
    this.#missedUpTo = newest;
    return this.#last < newest ? this.#last : null;
  }
  /** An event came. */
  take(event) {
    const last = this.#last ?? 0;
    if (event.id <= last) return;
    const isMissing = last < this.#missedUpTo && event.id > this.#missedUpTo;
    if (isMissing && !this.#early.has(event.id)) {
      this.#early.set(event.id, event);
      return;
    }
    if (isMissing) {
      this.settle();
      return;
    }
    this.#pass(event);
    if (event.id >= this.#missedUpTo) this.settle();
  }
  /** Deliver what waits, in its order. */
  settle() {
    const waiting = [...this.#early.values()].sort((one, other) => one.id - other.id);
    this.#early.clear();
    for (const event of waiting) this.#pass(event);
  }
  #pass(event) {
    if (event.id <= (this.#last ?? 0)) return;
    this.#last = event.id;
    this.#deliver(event);
  }
};

// src/random.ts
function madeUp() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// src/live.ts
var CLOSED = {
  SIGNED_OUT: 4401,
  BLOCKED: 4403,
  NO_PONG: 4408,
  FLOOD: 4429,
  BINARY: 1003,
  NOT_UTF8: 1007,
  TOO_BIG: 1009,
  RESTART: 1012,
  TOO_SLOW: 1013
};
var OPEN = 1;
var EVENTS = /* @__PURE__ */ new Set(["notification", "message", "message.read", "booking"]);
var FLOOD_PAUSE = 10;
var PATIENCE_MS = 1e4;
var Live = class {
  #ticket;
  #make;
  #pause;
  #order;
  #ears = /* @__PURE__ */ new Map();
  #watchers = /* @__PURE__ */ new Set();
  #letters = /* @__PURE__ */ new Map();
  #socket = null;
  #state = "closed";
  #tries = 0;
  #userId = null;
  #again;
  #beat;
  #late;
  #heardAt = 0;
  constructor(ticket, { after, socket, pause } = {}) {
    this.#ticket = ticket;
    this.#make = socket ?? ((url) => new WebSocket(url));
    this.#pause = pause ?? { first: 500, longest: 3e4 };
    this.#order = new Order((frame) => this.#tell(frame), after);
  }
  get state() {
    return this.#state;
  }
  /** The id of the last event that was told; hand it to the next `Live` as `after`. Undefined before `hello`. */
  get lastEventId() {
    return this.#order.last;
  }
  /** Hear frames of a type. Answers how to stop. */
  on(type, hear) {
    const ears = this.#ears.get(type) ?? /* @__PURE__ */ new Set();
    this.#ears.set(type, ears.add(hear));
    return () => ears.delete(hear);
  }
  /** Hear of changes of the connection, with the code with which a socket was closed. Answers how to stop. */
  onState(hear) {
    this.#watchers.add(hear);
    return () => this.#watchers.delete(hear);
  }
  /** Connect, and stay connected until `close()` or the end of the session. */
  open() {
    if (this.#state === "closed" || this.#state === "ended") void this.#connect();
  }
  /** Leave. Letters that the server has not answered are refused. */
  close() {
    this.#leave("closed", null, new Error("The connection was closed."));
  }
  /** Say something that needs no answer. Says whether there was somebody to hear it. */
  say(type, data) {
    return this.#say(type, data);
  }
  /**
   * Write a message; answers it as it was stored. Without a connection it waits for the next one: it is sent again with
   * the same `client_id`, so the server stores it once. Throws the `Problem` with which it is refused.
   */
  write(conversationId, body, attachmentIds = []) {
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
  async #connect() {
    this.#become("connecting", null);
    let url;
    try {
      ({ url } = await this.#ticket());
    } catch (error) {
      if (this.#state !== "connecting") return;
      if (isProblem(error) && [401, 403].includes(error.status)) this.#leave("ended", null, error);
      else this.#wait(null, isProblem(error) ? error.retryAfter : null);
      return;
    }
    if (this.#state !== "connecting") return;
    const socket = this.#make(url);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#hear(JSON.parse(String(data)));
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    });
    socket.addEventListener("error", () => void 0);
  }
  #closed(code) {
    this.#drop();
    if (code === CLOSED.SIGNED_OUT || code === CLOSED.BLOCKED) {
      this.#leave("ended", code, new Error(`The server closed the connection (${code}).`));
    } else {
      this.#wait(code, code === CLOSED.FLOOD ? this.#pause.first * FLOOD_PAUSE / 1e3 : null);
    }
  }
  #wait(code, atLeastS) {
    const { first, longest } = this.#pause;
    const pause = Math.min(first * 2 ** this.#tries, longest) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#become("waiting", code);
    this.#again = setTimeout(() => void this.#connect(), Math.max(pause, (atLeastS ?? 0) * 1e3));
  }
  #leave(state, code, error) {
    clearTimeout(this.#again);
    const socket = this.#socket;
    this.#drop();
    socket?.close(1e3);
    this.#tries = 0;
    const letters = [...this.#letters.values()];
    this.#letters.clear();
    this.#become(state, code);
    for (const letter2 of letters) letter2.reject(error);
  }
  #drop() {
    clearInterval(this.#beat);
    clearTimeout(this.#late);
    this.#socket = null;
  }
  #become(state, code) {
    if (state === this.#state) return;
    this.#state = state;
    for (const tell2 of this.#watchers) tell2(state, code);
  }
  #hear(frame) {
    this.#heardAt = Date.now();
    if (frame.type === "hello") this.#greet(frame.data);
    if (EVENTS.has(frame.type)) {
      this.#order.take(frame);
      clearTimeout(this.#late);
      if (this.#order.isWaiting) this.#late = setTimeout(() => this.#order.settle(), PATIENCE_MS);
      return;
    }
    if (frame.type === "error") this.#refuse(frame.data);
    this.#tell(frame);
  }
  /** The server holds back what is new for a moment after its hello, so the place to resume from is said at once. */
  #greet({ user_id, last_event_id, heartbeat_s }) {
    const isSomebodyElse = this.#userId !== null && this.#userId !== user_id;
    this.#userId = user_id;
    this.#tries = 0;
    const from = this.#order.begin(last_event_id, isSomebodyElse);
    if (from !== null) this.#say("resume", { last_event_id: from });
    this.#beat = setInterval(() => this.#check(heartbeat_s * 1e3), heartbeat_s * 1e3 / 2);
    this.#become("open", null);
    for (const { data } of this.#letters.values()) this.#say("message.send", data);
  }
  #check(heartbeatMs) {
    if (Date.now() - this.#heardAt < heartbeatMs * 1.5) {
      this.#say("ping", {});
      return;
    }
    const socket = this.#socket;
    this.#drop();
    socket?.close();
    this.#wait(CLOSED.NO_PONG, null);
  }
  #refuse(data) {
    const letter2 = data.client_id ? this.#letters.get(data.client_id) : void 0;
    if (!letter2 || !data.client_id) return;
    this.#letters.delete(data.client_id);
    letter2.reject(new Problem({ ...data }, data.status, data.retry_after ?? null));
  }
  #tell(frame) {
    if (frame.type === "message" && frame.data.client_id) {
      this.#letters.get(frame.data.client_id)?.resolve(frame);
      this.#letters.delete(frame.data.client_id);
    }
    for (const hear of this.#ears.get(frame.type) ?? []) hear(frame);
  }
  #say(type, data) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify({ type, data }));
    return true;
  }
};

// src/schema/facts.ts
var KEYED = /* @__PURE__ */ new Set([
  "POST /api/bookings/",
  "POST /api/bookings/{booking_id}/alteration/",
  "POST /api/bookings/{booking_id}/alteration/accept/",
  "POST /api/bookings/{booking_id}/pay/",
  "POST /api/bookings/{booking_id}/refund/",
  "POST /api/inquiries/",
  "POST /api/payout-accounts/"
]);

// src/session.ts
function inMemory(tokens = null) {
  let kept = tokens;
  return {
    read: () => kept,
    write: (next2) => {
      kept = next2;
    }
  };
}
function inStorage(storage, key = "karibu") {
  return {
    read: () => {
      const text = storage.getItem(key);
      return text ? JSON.parse(text) : null;
    },
    write: (tokens) => {
      if (tokens) storage.setItem(key, JSON.stringify(tokens));
      else storage.removeItem(key);
    }
  };
}
var Session = class {
  #store;
  #refresh;
  #ended = /* @__PURE__ */ new Set();
  #underWay = null;
  constructor(store, refresh) {
    this.#store = store;
    this.#refresh = refresh;
  }
  /** The access token that calls carry; null for nobody. */
  get token() {
    return this.#store.read()?.token ?? null;
  }
  /** Begin with a pair that register or login answered, or one that was kept. */
  begin(tokens) {
    this.#store.write({ token: tokens.token, refresh: tokens.refresh });
  }
  /** Forget the pair; whoever listens is told. */
  end() {
    if (!this.#store.read()) return;
    this.#store.write(null);
    for (const tell2 of this.#ended) tell2();
  }
  /** Be told when the session is over: signed out here, or ended by the server. Answers how to stop listening. */
  onEnd(tell2) {
    this.#ended.add(tell2);
    return () => this.#ended.delete(tell2);
  }
  /**
   * A token other than `stale`, or null when there is no session any more. Another tab may have made it already.
   * Throws what the network throws: a lost connection ends no session.
   */
  async renewed(stale) {
    const tokens = this.#store.read();
    if (!tokens) return null;
    if (tokens.token !== stale) return tokens.token;
    this.#underWay ??= this.#renew(tokens).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }
  async #renew(tokens) {
    try {
      const next2 = await this.#refresh(tokens.refresh);
      if (this.#store.read()?.refresh === tokens.refresh) this.begin(next2);
      return this.token;
    } catch (error) {
      if (!isProblem(error) || !isOver(error)) throw error;
      if (this.#store.read()?.refresh === tokens.refresh) this.end();
      return this.token;
    }
  }
};
function isOver(problem) {
  return problem.status === 401 || problem.status === 422;
}

// src/transport.ts
var TRIES = 3;
var FIRST_PAUSE_MS = 300;
var LONGEST_PAUSE_S = 20;
var KEY = "Idempotency-Key";
async function send(request, { fetch: fetch2, session, language, pause }) {
  const tongue = language();
  if (tongue && !request.headers.has("Accept-Language")) request.headers.set("Accept-Language", tongue);
  let hasRenewed = false;
  for (let tried = 1; ; tried += 1) {
    const token = request.headers.has("Authorization") ? null : session?.token ?? null;
    const attempt = request.clone();
    if (token) attempt.headers.set("Authorization", `Bearer ${token}`);
    let response;
    try {
      response = await fetch2(attempt);
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
function isPassing(problem) {
  if (problem.code === "feature_off") return false;
  return [502, 503, 504].includes(problem.status) || problem.code === "request_in_progress";
}
function mayRepeat({ method, headers }) {
  if (method === "POST") return headers.has(KEY);
  return method === "GET" || method === "HEAD" || method === "PUT" && !headers.has("If-Match");
}
function between(tried, seconds = null) {
  if (seconds !== null) return Math.min(seconds, LONGEST_PAUSE_S) * 1e3;
  return FIRST_PAUSE_MS * 2 ** (tried - 1) * (0.5 + Math.random() / 2);
}

// src/client.ts
var Karibu = class {
  session;
  get;
  post;
  put;
  patch;
  delete;
  #url;
  #socket;
  #around;
  constructor(options) {
    this.#url = options.url.replace(/\/+$/, "");
    this.#socket = options.socket;
    const { language = null } = options;
    const around = {
      fetch: options.fetch ?? ((request) => fetch(request)),
      language: typeof language === "function" ? language : () => language,
      pause: (ms) => new Promise((done) => setTimeout(done, ms))
    };
    const anonymous = this.#http({ ...around, session: null });
    this.session = new Session(options.tokens ?? inMemory(), async (refresh) => {
      const { data } = await anonymous.POST("/api/token/refresh/", { body: { refresh } });
      return data;
    });
    this.#around = { ...around, session: this.session };
    const http = this.#http(this.#around);
    const call = (method) => async (path, ...init) => {
      const ask = http.request;
      return (await ask(method, path, ...init)).data;
    };
    this.get = call("get");
    this.post = call("post");
    this.put = call("put");
    this.patch = call("patch");
    this.delete = call("delete");
  }
  /** Make an account and be signed in with it. */
  async register(account) {
    const made = await this.post("/api/register/", { body: account });
    this.session.begin(made);
    return made;
  }
  /**
   * Sign in. With a second step on, this throws `mfa_required`, whose document has the `mfa_token` for
   * `POST /api/login/mfa/`; hand what that answers to `session.begin`.
   */
  async signIn(credentials) {
    const found2 = await this.post("/api/login/", { body: credentials });
    this.session.begin(found2);
    return found2;
  }
  /** Sign out: both tokens are dead at once. Here it is over also when the server cannot be told. */
  async signOut() {
    try {
      if (this.session.token) await this.post("/api/logout/");
    } finally {
      this.session.end();
    }
  }
  /** All rows of a list, page after page as far as they are asked for: `for await (const place of karibu.each(...))`. */
  async *each(path, ...init) {
    let page = await this.get(path, ...init);
    for (; ; ) {
      yield* page.results;
      if (!page.next) return;
      page = await this.follow(page.next);
    }
  }
  /** GET an address that the server gave, such as `next` of a list, from this server alone. */
  async follow(address) {
    const { pathname, search: search2 } = new URL(address, this.#url);
    const response = await send(new Request(`${this.#url}${pathname}${search2}`), this.#around);
    return response.json();
  }
  /** The websocket of whoever is signed in; `open()` it. */
  live(options = {}) {
    const ticket = () => this.post("/api/realtime/ticket/");
    return new Live(ticket, { ...this.#socket ? { socket: this.#socket } : {}, ...options });
  }
  #http(around) {
    const http = createClient({ baseUrl: this.#url, fetch: (request) => send(request, around) });
    http.use({
      onRequest({ request, schemaPath }) {
        if (KEYED.has(`${request.method} ${schemaPath}`) && !request.headers.has("Idempotency-Key")) {
          request.headers.set("Idempotency-Key", madeUp());
        }
        return request;
      }
    });
    return http;
  }
};

// demo/dom.ts
function el(tag, { class: names, on, data, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (names) made.className = names;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== void 0 && value !== null && value !== false) made.setAttribute(name, String(value));
  }
  for (const [event, hear] of Object.entries(on ?? {})) made.addEventListener(event, hear);
  Object.assign(made.dataset, data);
  made.append(...children.filter((each) => each instanceof Node || Boolean(each)));
  return made;
}
function byId(id) {
  const found2 = document.getElementById(id);
  if (!found2) throw new Error(`The page has no #${id}.`);
  return found2;
}
function inside(within, selector) {
  const found2 = within.querySelector(selector);
  if (!found2) throw new Error(`There is no ${selector}.`);
  return found2;
}
function show(dialog5, title, ...children) {
  const close = el("form", { method: "dialog" }, el("button", { "aria-label": "Close" }, "×"));
  dialog5.replaceChildren(el("header", {}, el("h2", { id: `${dialog5.id}-title` }, title), close));
  dialog5.append(...children.filter((each) => each instanceof Node || Boolean(each)));
  if (!dialog5.open) dialog5.showModal();
}
function refusals() {
  const place = el("p", { class: "refused", role: "alert", hidden: "" });
  return { place, tell: (error) => tell(place, error) };
}
function tell(place, error) {
  place.hidden = error === null;
  if (error === null) return;
  if (!isProblem(error)) console.warn(error);
  place.textContent = wording(error);
}
function wording(error) {
  if (!isProblem(error)) return "The server could not be reached. Please try again.";
  const fields = error.errors.map((each) => each.field ? `${each.field}: ${each.message}` : each.message);
  return fields.join(" ") || error.message;
}
function action(text, does, say, main = true) {
  const button2 = el("button", { type: "button", class: main ? "main" : "" }, text);
  button2.addEventListener("click", async () => {
    button2.disabled = true;
    say(null);
    try {
      await does();
    } catch (error) {
      say(error);
    } finally {
      button2.disabled = false;
    }
  });
  return button2;
}

// demo/world.ts
var karibu = new Karibu({ url: location.origin, tokens: inStorage(localStorage, "karibu-demo") });
var me = null;
var watchers = [];
function whoAmI() {
  return me;
}
function onChange(tell2) {
  watchers.push(tell2);
}
async function arrive() {
  let profile;
  try {
    profile = await karibu.get("/api/profile/");
  } catch (error) {
    if (!isProblem(error) || error.status !== 401) throw error;
    karibu.session.end();
    return;
  }
  const live = karibu.live();
  become({ profile, live });
  live.open();
}
karibu.session.onEnd(() => become(null));
function become(next2) {
  me?.live.close();
  me = next2;
  for (const tell2 of watchers) tell2(me);
}

// demo/account.ts
var dialog = byId("account");
var form = byId("account-form");
var button = byId("open-account");
var refused = inside(form, ".refused");
var afterwards = null;
function signedIn(next2) {
  if (whoAmI()) {
    next2();
    return;
  }
  afterwards = next2;
  tell(refused, null);
  dialog.showModal();
}
function prepareAccount() {
  button.addEventListener("click", () => {
    if (whoAmI()) void karibu.signOut();
    else signedIn(() => void 0);
  });
  onChange((me2) => {
    const name = me2 ? el("span", { class: "who" }, me2.profile.first_name || me2.profile.username) : "";
    button.replaceChildren(me2 ? "Sign out " : "Sign in", name);
    button.classList.toggle("main", !me2);
    for (const id of ["open-trips", "open-talks", "open-notices"]) byId(id).hidden = !me2;
  });
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void enter();
  });
  dialog.addEventListener("close", () => {
    inside(form, "[name=password]").value = "";
    if (!whoAmI()) afterwards = null;
  });
}
function choose() {
  const wish = String(new FormData(form).get("wish"));
  for (const each of form.querySelectorAll("[data-for]")) {
    each.hidden = each.dataset["for"] !== wish;
    const control = each instanceof HTMLButtonElement ? each : each.querySelector("input");
    if (control) control.disabled = each.hidden;
  }
  const known = wish === "register" ? "new-password" : "current-password";
  inside(form, "[name=password]").autocomplete = known;
}
async function enter() {
  const fields = new FormData(form);
  const text = (name) => String(fields.get(name) ?? "");
  const username = text("username");
  const password = text("password");
  tell(refused, null);
  try {
    if (text("wish") === "register") await karibu.register({ username, email: text("email"), password });
    else await karibu.signIn({ username, password });
    await arrive();
  } catch (error) {
    tell(refused, error);
    return;
  }
  const next2 = afterwards;
  afterwards = null;
  dialog.close();
  next2?.();
}

// demo/words.ts
function money(amount, currency) {
  const isWhole = Number.isInteger(amount);
  const style = { style: "currency", currency, ...isWhole ? { maximumFractionDigits: 0 } : {} };
  return new Intl.NumberFormat(void 0, style).format(amount);
}
function dayWords(date) {
  return new Intl.DateTimeFormat(void 0, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(
    /* @__PURE__ */ new Date(`${date}T00:00Z`)
  );
}
function timeWords(instant) {
  return new Intl.DateTimeFormat(void 0, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(
    new Date(instant)
  );
}
function plain(word) {
  return word.replaceAll("_", " ");
}
function many(count2, one, more2 = `${one}s`) {
  return `${count2} ${count2 === 1 ? one : more2}`;
}
function dayAhead(days) {
  const now = /* @__PURE__ */ new Date();
  return new Date(Date.UTC(now.getFullYear(), now.getMonth(), now.getDate() + days)).toISOString().slice(0, 10);
}
function here(address) {
  const { pathname, search: search2 } = new URL(address, location.href);
  return pathname + search2;
}

// demo/talk.ts
var dialog2 = byId("talks");
var WRITING_MS = 6e3;
var SAY_AGAIN_MS = 3e3;
var shown = null;
function isReading(conversationId) {
  return dialog2.open && shown?.id === conversationId;
}
function prepareTalks() {
  byId("open-talks").addEventListener("click", () => void openTalks());
  dialog2.addEventListener("close", () => {
    shown = null;
  });
  onChange((me2) => {
    if (me2) listen(me2.live);
    else dialog2.close();
  });
}
function listen(live) {
  live.on("message", ({ data }) => {
    if (data.conversation_id === shown?.id) shown.take(data);
  });
  live.on("typing", ({ data }) => {
    if (data.conversation_id === shown?.id) shown.writing(data.is_typing);
  });
}
async function openTalks() {
  shown = null;
  const { results } = await karibu.get("/api/conversations/");
  const rows = results.map((each) => {
    const open = () => void openTalk(each.id, each.property);
    const unread2 = each.unread_count ? el("span", { class: "count" }, String(each.unread_count)) : null;
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: each.unread_count ? "row new" : "row", on: { click: open } },
        el("span", { class: "top" }, el("strong", {}, each.property), unread2),
        el("span", { class: "soft" }, each.last_message?.body ?? "Nothing is written yet.")
      )
    );
  });
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "You have not written to anybody yet.");
  show(dialog2, many(results.length, "conversation"), nothing, el("ul", { class: "rows" }, ...rows));
}
async function openTalk(conversationId, title) {
  const me2 = whoAmI();
  if (!me2) return;
  const params = { path: { conversation_id: conversationId } };
  const { results } = await karibu.get("/api/conversations/{conversation_id}/messages/", { params });
  const letters = el("div", { class: "letters", role: "log", "aria-label": "Messages", tabindex: "0" });
  const writing = el("p", { class: "writing", role: "status" });
  const { place: refused2, tell: tell2 } = refusals();
  const field2 = el("input", { name: "body", maxlength: 5e3, autocomplete: "off", placeholder: "Write something", "aria-label": "Message", required: "" });
  const form3 = el("form", { class: "write" }, field2, el("button", { class: "main" }, "Send"));
  const seen = /* @__PURE__ */ new Set();
  let quiet;
  const take = (message) => {
    if (seen.has(message.id)) return;
    seen.add(message.id);
    letters.append(letter(message, me2.profile.id));
    letters.scrollTop = letters.scrollHeight;
    if (message.sender?.id === me2.profile.id) return;
    noteWriting(false);
    me2.live.say("message.read", { conversation_id: conversationId });
  };
  const noteWriting = (isTyping) => {
    clearTimeout(quiet);
    writing.textContent = isTyping ? "writes …" : "";
    if (isTyping) quiet = setTimeout(() => noteWriting(false), WRITING_MS);
  };
  form3.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = field2.value.trim();
    if (!body) return;
    field2.value = "";
    tell2(null);
    me2.live.write(conversationId, body).then(
      ({ data }) => take(data),
      (error) => {
        field2.value ||= body;
        tell2(error);
      }
    );
  });
  let saidAt = 0;
  field2.addEventListener("input", () => {
    if (Date.now() - saidAt < SAY_AGAIN_MS) return;
    saidAt = Date.now();
    me2.live.say("typing", { conversation_id: conversationId, is_typing: true });
  });
  show(dialog2, title, letters, writing, refused2, form3);
  shown = { id: conversationId, take, writing: noteWriting };
  for (const message of [...results].reverse()) take(message);
  field2.focus();
}
function letter(message, myId) {
  if (message.kind === "system") return el("p", { class: "letter system" }, message.body);
  const isMine = message.sender?.id === myId;
  const files = message.attachments.map((each) => each.name).join(", ");
  const text = message.hidden ? "Taken out of sight by the moderators." : [message.body, files].filter(Boolean).join("\n");
  const head = `${isMine ? "You" : message.sender?.first_name ?? ""} · ${timeWords(message.created_at)}`;
  return el("p", { class: isMine ? "letter mine" : "letter" }, text, el("small", {}, head));
}

// demo/stay.ts
var dialog3 = byId("place");
function openPlace(place, wish) {
  const pictures = place.photos.map((each) => el("img", { src: here(each.url), alt: each.caption || place.title, loading: "lazy" }));
  const facts = [
    plain(place.room_type),
    plain(place.property_type),
    many(place.bedrooms, "bedroom"),
    many(place.beds, "bed"),
    many(place.bathrooms, "bathroom")
  ];
  const about = el(
    "div",
    { class: "about" },
    el("p", { class: "soft" }, facts.join(" · ")),
    el("p", {}, place.description),
    el("ul", { class: "tags", "aria-label": "Amenities" }, ...place.amenities.map((each) => el("li", {}, plain(each)))),
    place.house_rules && el("h3", {}, "The rules of the house"),
    place.house_rules && el("p", { class: "soft" }, place.house_rules)
  );
  const offer = el("div", { class: "offer" });
  show(
    dialog3,
    place.title,
    el("p", { class: "soft" }, `${place.location} · with ${place.host.first_name || place.owner}`),
    pictures.length > 0 && el("div", { class: "gallery", tabindex: "0", role: "group", "aria-label": "Pictures" }, ...pictures),
    el("div", { class: "stay" }, about, offer)
  );
  dialog3.scrollTop = 0;
  askPrice(offer, place, wish);
}
function askPrice(offer, place, wish) {
  const { place: refused2, tell: tell2 } = refusals();
  const form3 = el(
    "form",
    { class: "dates" },
    el("label", {}, "Check in", el("input", { name: "check_in", type: "date", value: wish.check_in, min: dayAhead(0), required: "" })),
    el("label", {}, "Check out", el("input", { name: "check_out", type: "date", value: wish.check_out, min: dayAhead(1), required: "" })),
    el("label", {}, "Guests", el("input", { name: "guests", type: "number", value: wish.guests, min: 1, max: place.max_guests, required: "" }))
  );
  const price = el("div", { "aria-live": "polite" });
  let turn2 = 0;
  const ask = async () => {
    const mine = turn2 += 1;
    const fields = new FormData(form3);
    const stay = {
      check_in: String(fields.get("check_in")),
      check_out: String(fields.get("check_out")),
      guests: Number(fields.get("guests")),
      ...wish.currency ? { currency: wish.currency } : {}
    };
    tell2(null);
    try {
      const quote = await karibu.post("/api/properties/{property_id}/quote/", {
        params: { path: { property_id: place.id } },
        body: stay
      });
      if (mine === turn2) price.replaceChildren(offered(quote, () => signedIn(() => void book(quote)), place));
    } catch (error) {
      if (mine !== turn2) return;
      price.replaceChildren();
      tell2(error);
    }
  };
  const book = async (quote) => {
    const button2 = offer.querySelector("button.main");
    if (button2) button2.disabled = true;
    tell2(null);
    try {
      const { check_in, check_out, guests, quote_token } = quote;
      const body = { property_id: place.id, check_in, check_out, guests, quote_token };
      settle(offer, await karibu.post("/api/bookings/", { body }));
    } catch (error) {
      if (isProblem(error, "quote_expired", "price_changed")) await ask();
      tell2(error);
      if (button2) button2.disabled = false;
    }
  };
  form3.addEventListener("submit", (event) => event.preventDefault());
  form3.addEventListener("change", () => void ask());
  offer.replaceChildren(el("h3", {}, "Your stay"), form3, price, refused2);
  void ask();
}
function offered(quote, take, place) {
  const [first] = quote.cancellation.timeline;
  return el(
    "div",
    { class: "rows" },
    lines(quote.lines, quote.total_price, quote.currency),
    first && el("p", { class: "hint" }, first.sentence),
    el("button", { type: "button", class: "main", on: { click: take } }, place.instant_book ? "Book" : "Ask the host")
  );
}
function lines(priced, total, currency) {
  const row = (text, amount, names = "") => el("div", { class: names }, el("dt", {}, text), el("dd", {}, money(amount, currency)));
  return el("dl", { class: "lines" }, ...priced.map((each) => row(each.description, each.amount)), row("Total", total, "total"));
}
function settle(offer, booking) {
  const { place: refused2, tell: tell2 } = refusals();
  const params = { path: { booking_id: booking.id } };
  const pay = (outcome) => async () => {
    await karibu.post("/api/bookings/{booking_id}/pay/", { params, body: { provider: "sandbox", outcome } });
    settle(offer, await karibu.get("/api/bookings/{booking_id}/", { params }));
  };
  const isDue = booking.status === "pending" && booking.payment_status === "unpaid";
  const talk = booking.conversation_id;
  offer.replaceChildren(
    el("h3", {}, `${dayWords(booking.check_in)} – ${dayWords(booking.check_out)}`),
    el("p", { class: "soft" }, `${booking.reference} · ${many(booking.nights, "night")} · ${many(booking.guests, "guest")}`),
    el("p", { class: booking.status === "confirmed" ? "done" : "", role: "status" }, standing(booking)),
    lines(booking.price_breakdown, booking.total_price, booking.currency),
    refused2
  );
  if (isDue) {
    const price = money(booking.total_price, booking.currency);
    const buttons = [action(`Pay ${price}`, pay("succeed"), tell2), action("Try a card that is refused", pay("decline"), tell2, false)];
    offer.append(el("div", { class: "buttons" }, ...buttons));
  }
  if (talk !== null && talk !== void 0) {
    const write = async () => openTalk(talk, booking.property);
    offer.append(action("Write to the host", write, tell2, booking.status === "confirmed"));
  }
  offer.scrollIntoView({ block: "nearest" });
}
function standing(booking) {
  if (booking.status !== "pending") return `Your stay is ${booking.status}.`;
  const until = booking.expires_at ? ` until ${timeWords(booking.expires_at)}` : "";
  if (booking.payment_status !== "unpaid") return `Paid. The host may answer${until}.`;
  return `The nights are held for you${until}.`;
}
async function openBooking(bookingId) {
  const booking = await karibu.get("/api/bookings/{booking_id}/", { params: { path: { booking_id: bookingId } } });
  const offer = el("div", { class: "offer" });
  show(dialog3, booking.property, offer);
  settle(offer, booking);
}

// demo/notices.ts
var dialog4 = byId("notices");
var trips = byId("trips");
var connection = byId("connection");
var toasts = byId("toasts");
var TOAST_MS = 9e3;
var MOST_TOASTS = 2;
var unread = 0;
function prepareNotices() {
  byId("open-notices").addEventListener("click", () => void openNotices());
  byId("open-trips").addEventListener("click", () => void openTrips());
  onChange((me2) => {
    connection.hidden = !me2;
    count(0);
    if (!me2) {
      dialog4.close();
      trips.close();
      return;
    }
    me2.live.onState((state) => {
      connection.dataset["state"] = state;
      connection.textContent = state === "open" ? "live" : "connecting …";
    });
    me2.live.on("notification", ({ data }) => arrived(data));
    void karibu.get("/api/notifications/", { params: { query: { unread: true } } }).then((page) => count(page.count));
  });
}
function arrived(notice) {
  const { conversation_id } = notice.data;
  if (notice.read_at || typeof conversation_id === "number" && isReading(conversation_id)) return;
  count(unread + 1);
  const toast = el("div", { class: "toast" }, el("strong", {}, notice.title), el("p", {}, notice.body));
  toasts.append(toast);
  while (toasts.children.length > MOST_TOASTS) toasts.firstElementChild?.remove();
  toasts.hidePopover();
  toasts.showPopover();
  setTimeout(() => {
    toast.remove();
    if (toasts.children.length === 0) toasts.hidePopover();
  }, TOAST_MS);
}
function count(next2) {
  unread = next2;
  const badge = inside(byId("open-notices"), ".count");
  badge.hidden = unread === 0;
  badge.textContent = String(unread);
}
async function openNotices() {
  const { results } = await karibu.get("/api/notifications/");
  const rows = results.map(
    (each) => el(
      "li",
      { class: each.read_at ? "row" : "row new" },
      el("span", { class: "top" }, el("strong", {}, each.title), el("span", { class: "soft" }, timeWords(each.created_at))),
      el("span", { class: "soft" }, each.body)
    )
  );
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "Nothing has happened yet.");
  show(dialog4, "Notices", nothing, el("ul", { class: "rows" }, ...rows));
  if (unread > 0) await karibu.post("/api/notifications/read-all/");
  count(0);
}
async function openTrips() {
  const { results } = await karibu.get("/api/bookings/");
  const rows = results.map((each) => {
    const open = () => {
      trips.close();
      void openBooking(each.id);
    };
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "row", on: { click: open } },
        el("span", { class: "top" }, el("strong", {}, each.property), el("span", { class: "state", data: { status: each.status } }, each.status)),
        el("span", { class: "soft" }, `${dayWords(each.check_in)} – ${dayWords(each.check_out)} · ${money(each.total_price, each.currency)}`)
      )
    );
  });
  const nothing = rows.length === 0 && el("p", { class: "soft" }, "You have not booked anything yet.");
  show(trips, "Your stays", nothing, el("ul", { class: "rows" }, ...rows));
}

// demo/places.ts
var form2 = byId("search");
var list = byId("places");
var found = byId("found");
var more = byId("more");
var turn = 0;
var next = null;
async function prepareSearch() {
  field("check_in").value = dayAhead(30);
  field("check_out").value = dayAhead(33);
  field("check_in").min = dayAhead(0);
  field("check_in").addEventListener("change", keepOrder);
  field("location").addEventListener("input", () => void suggest());
  form2.addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  more.addEventListener("click", () => void further());
  keepOrder();
  await Promise.all([search(), offerCurrencies()]);
}
function wanted() {
  const guests = Number(field("guests").value) || 1;
  return { check_in: field("check_in").value, check_out: field("check_out").value, guests, currency: field("currency").value };
}
function field(name) {
  return form2.elements.namedItem(name);
}
function keepOrder() {
  const arrival = field("check_in").value;
  if (!arrival) return;
  const nextDay = new Date(Date.parse(`${arrival}T00:00Z`) + 864e5).toISOString().slice(0, 10);
  field("check_out").min = nextDay;
  if (field("check_out").value < nextDay) field("check_out").value = nextDay;
}
async function search() {
  const mine = turn += 1;
  found.textContent = "Looking …";
  const { currency, ...stay } = wanted();
  const where = field("location").value.trim();
  const query = { ...stay, ...where ? { location: where } : {}, ...currency ? { currency } : {} };
  try {
    const page = await karibu.get("/api/properties/", { params: { query } });
    if (mine !== turn) return;
    const count2 = `${page.count}${page.count_is_exact ? "" : "+"}`;
    found.textContent = page.count ? `${count2} ${page.count === 1 ? "place is" : "places are"} free then` : "Nothing is free then";
    list.replaceChildren(...page.results.map(card));
    goOn(page.next);
  } catch (error) {
    if (mine !== turn) return;
    found.textContent = error instanceof Error ? error.message : "The search failed.";
    list.replaceChildren();
    goOn(null);
  }
}
async function further() {
  if (!next) return;
  const mine = turn;
  more.disabled = true;
  const page = await karibu.follow(next).finally(() => {
    more.disabled = false;
  });
  if (mine !== turn) return;
  const added = page.results.map(card);
  list.append(...added);
  goOn(page.next);
  added[0]?.querySelector("button")?.focus();
}
function goOn(address) {
  next = address;
  more.hidden = !address;
}
function card(place) {
  const [cover] = place.photos;
  const { currency } = place;
  const picture = cover ? el("img", { src: here(cover.thumbnail_url ?? cover.url), alt: "", loading: "lazy" }) : el("span", { class: "none", "aria-hidden": "true" }, "⌂");
  const total = place.total_price === null || place.total_price === void 0 ? null : money(place.total_price, currency);
  const rating = place.rating ? `★ ${place.rating.toFixed(1)} (${place.review_count})` : "New";
  const words = el(
    "span",
    { class: "words" },
    el("span", { class: "top" }, el("strong", { class: "name" }, place.title), el("span", { class: "soft" }, rating)),
    el("span", { class: "soft" }, place.location),
    el("span", { class: "soft" }, `${many(place.max_guests, "guest")} · ${many(place.bedrooms, "bedroom")} · ${many(place.beds, "bed")}`),
    el("span", { class: "price" }, el("b", {}, money(place.price_per_night, currency)), " a night", total && ` · ${total} in all`)
  );
  const badge = place.instant_book ? null : el("span", { class: "badge" }, "On request");
  const open = () => openPlace(place, wanted());
  return el(
    "li",
    {},
    el("button", { type: "button", class: "card", on: { click: open } }, el("span", { class: "picture" }, picture, badge), words)
  );
}
async function suggest() {
  const q = field("location").value.trim();
  if (q.length < 2) return;
  const { results } = await karibu.get("/api/locations/", { params: { query: { q } } });
  byId("locations").replaceChildren(...results.map((each) => el("option", { value: each.label })));
}
async function offerCurrencies() {
  const { results } = await karibu.get("/api/currencies/");
  const options = results.map((each) => el("option", { value: each.code }, `${each.code} · ${each.name}`));
  field("currency").append(...options);
}

// demo/app.ts
prepareAccount();
prepareTalks();
prepareNotices();
await Promise.all([prepareSearch(), karibu.session.token ? arrive() : null]);
