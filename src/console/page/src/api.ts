// The services, called as whoever is signed in.

import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AlertService } from "../generated/lodewatch/v1/alert_pb";
import { MarketService } from "../generated/lodewatch/v1/market_pb";
import { PolicyService } from "../generated/lodewatch/v1/policy_pb";
import { Cell } from "./store";

/** Where the token is kept: until the tab is closed, and for this origin alone. */
const TOKEN = "lodewatch.token";

/** How long an answer may take; streams have no end. */
const CALL_MS_MAX = 20_000;
/** How often a call is tried, and how long it waits in between, times the turn. */
const TURNS_MAX = 4;
const AGAIN_MS = 250;

/** Whether somebody is let in: `out` asks for a token. */
export type Session = { state: "in" } | { state: "out"; why: string };

export const session = new Cell<Session>({ state: "in" });

export function token(): string {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function keepToken(value: string): void {
  if (value === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, value);
}

const signed: Interceptor = (next) => (request) => {
  const value = token();
  if (value !== "") request.header.set("authorization", `Bearer ${value}`);
  return next(request);
};

/** Asks again where the way to the server failed: every call of the console only reads. Streams come again by themselves. */
const again: Interceptor = (next) => async (request) => {
  for (let turn = 1; ; turn += 1) {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || turn >= TURNS_MAX || !isPassing(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * turn));
    }
  }
};

/** Whether it is about the way to the server, and not about what was asked. */
function isPassing(error: unknown): boolean {
  return [Code.Unknown, Code.Internal, Code.Unavailable].includes(ConnectError.from(error).code);
}

const transport = createGrpcWebTransport({
  baseUrl: location.origin,
  interceptors: [again, signed],
});

export const alertService = createClient(AlertService, transport);
export const marketService = createClient(MarketService, transport);
export const policyService = createClient(PolicyService, transport);

/** Options of a call that is answered once. */
export const once = { timeoutMs: CALL_MS_MAX };

/** What went wrong, in the server's own words. */
export function told(error: unknown): string {
  const known = ConnectError.from(error);
  const isUnreached = known.code === Code.Unknown || known.code === Code.Internal;
  return isUnreached ? "The server cannot be reached." : known.rawMessage;
}

/** Whether it is about who is asking. Nobody known is asked to sign in. */
export function isRefused(error: unknown): "no" | "unknown" | "role" {
  const code = ConnectError.from(error).code;
  if (code === Code.Unauthenticated) {
    session.set({ state: "out", why: token() === "" ? "" : "This token is not known, or no longer." });
    return "unknown";
  }
  return code === Code.PermissionDenied ? "role" : "no";
}
