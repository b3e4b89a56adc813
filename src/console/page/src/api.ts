// The services, called with the token of the signed-in user.

import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AlertService } from "../generated/lodewatch/v1/alert_pb";
import { MarketService } from "../generated/lodewatch/v1/market_pb";
import { PolicyService } from "../generated/lodewatch/v1/policy_pb";
import { Cell } from "./store";

/**
 * The key of the token in the session storage, which is for this origin and until the tab closes.
 */
const TOKEN = "lodewatch.token";

/** How long a call may take. Streams have no limit. */
const CALL_MS_MAX = 20_000;
/** The limit of attempts of a call, and the wait after an attempt times its number. */
const ATTEMPTS_MAX = 4;
const RETRY_MS = 250;

/** Whether a user is signed in. `out` displays the sign-in page, with the error if there is one. */
export type Session = { state: "in" } | { state: "out"; error: string };

export const session = new Cell<Session>({ state: "in" });

export function token(): string {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function keepToken(value: string): void {
  if (value === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, value);
}

const authorize: Interceptor = (next) => (request) => {
  const value = token();
  if (value !== "") request.header.set("authorization", `Bearer ${value}`);
  return next(request);
};

/**
 * Retries a call if the connection failed; calls of the console only read. Streams reconnect by
 * themselves.
 */
const retry: Interceptor = (next) => async (request) => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || attempt >= ATTEMPTS_MAX || !isTransient(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
    }
  }
};

/** Whether an error is about the connection, not about the request. */
function isTransient(error: unknown): boolean {
  return [Code.Unknown, Code.Internal, Code.Unavailable].includes(ConnectError.from(error).code);
}

const transport = createGrpcWebTransport({
  baseUrl: location.origin,
  interceptors: [retry, authorize],
});

export const alertService = createClient(AlertService, transport);
export const marketService = createClient(MarketService, transport);
export const policyService = createClient(PolicyService, transport);

/** Options of a unary call. */
export const unary = { timeoutMs: CALL_MS_MAX };

/** The text of an error: the server's message, if it sent one. */
export function errorText(error: unknown): string {
  const { code, rawMessage } = ConnectError.from(error);
  const isUnreachable = code === Code.Unknown || code === Code.Internal;
  return isUnreachable ? "Cannot reach the server; the console retries." : rawMessage;
}

/**
 * Whether an error is about the caller's credentials or role. Without valid credentials, displays
 * the sign-in page.
 */
export function authFailure(error: unknown): "none" | "credentials" | "role" {
  const code = ConnectError.from(error).code;
  if (code === Code.Unauthenticated) {
    session.set({
      state: "out",
      error: token() === "" ? "" : "The token is not valid, or was revoked.",
    });
    return "credentials";
  }
  return code === Code.PermissionDenied ? "role" : "none";
}
