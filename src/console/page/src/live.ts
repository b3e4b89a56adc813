// The data of the console: two streams that reconnect by themselves, and requests besides them.
//
// A browser opens at most six connections to a server over HTTP/1.1, and each stream uses one.
// Therefore a hidden page closes its streams, and resumes them when it is visible again.

import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Alert,
  type AlertFilterSchema,
  Exercises,
  OnGap,
  Order,
  Start,
} from "../generated/lodewatch/v1/alert_pb";
import type { Market, ThreatRecord } from "../generated/lodewatch/v1/market_pb";
import type { Policy } from "../generated/lodewatch/v1/policy_pb";
import { alertService, authFailure, marketService, unary, policyService, session } from "./api";
import type { Stage } from "../generated/lodewatch/v1/types_pb";
import { Cell } from "./store";
import { capital, milliseconds, stageName } from "./text";

/** A stream without a message for two of these is dead. */
const HEARTBEAT_SECONDS = 5;
const SILENCE_MS_MAX = 2 * HEARTBEAT_SECONDS * 1000 + 1000;
/** The first and the longest wait before reconnecting. */
const RECONNECT_MS = 300;
const RECONNECT_MS_MAX = 5000;
/** A page closes its streams after it has been hidden for this long. */
const HIDDEN_MS_MAX = 15_000;
/** Alerts that arrive within this time are displayed together. */
const BATCH_MS = 40;
/** The shortest interval between two reads of threats and policy. */
const REFRESH_MS = 1000;
/** The interval for a role that may not watch markets. */
const POLL_MS = 15_000;
/** The limit of alerts in memory. The oldest are dropped first; the server still has them. */
export const ALERTS_MAX = 20_000;
const FIRST_PAGE = 200;
const PAGE = 1000;
const DESTINATION = "lodewatch.destination";

/**
 * The state of a stream, and when it last received a message. `denied`: the role does not permit
 * it.
 */
export type Link = {
  state: "connecting" | "live" | "reconnecting" | "paused" | "denied";
  receivedAt: number;
};
export type Alerts = {
  all: readonly Alert[];
  older: string;
  isLoading: boolean;
  fresh: ReadonlySet<bigint>;
};

export const links = {
  alerts: new Cell<Link>({ state: "connecting", receivedAt: 0 }),
  markets: new Cell<Link>({ state: "connecting", receivedAt: 0 }),
};
export const journalUnreachable = new Cell(false);
export const alerts = new Cell<Alerts>({ all: [], older: "", isLoading: true, fresh: new Set() });
export const markets = new Cell<ReadonlyMap<string, Market> | undefined>(undefined);
export const threats = new Cell<readonly ThreatRecord[] | undefined>(undefined);
export const policy = new Cell<Policy | undefined>(undefined);
/** The journal's day; statuses of threats are derived for it. */
export const today = new Cell(new Date().toISOString().slice(0, 10));
/** The journal's time, in milliseconds. */
export let journalTime = Date.now();
/** The destination for which markets are displayed. */
export const destination = new Cell(localStorage.getItem(DESTINATION) ?? "all");

export const marketKey = (market: { mineral: string; stage: number }) =>
  `${market.mineral}/${stageName(market.stage)}`;

/** The name of a market for people. */
export function marketName(mineral: string, stage: Stage): string {
  const name =
    markets.get()?.get(marketKey({ mineral, stage }))?.name ?? mineral.replaceAll("_", " ");
  return `${capital(name)} ${stageName(stage)}`;
}

const everything: MessageInitShape<typeof AlertFilterSchema> = { exercises: Exercises.INCLUDE };

/** Where the stream of alerts resumes; empty until the first alerts are read. */
let cursor = "";
/** Alerts that arrived since the last update of the page. */
let gathered: Alert[] = [];
let running: AbortController | undefined;
let watching: AbortController | undefined;

/** Starts the streams; after a sign-in, starts them again. */
export function start(): void {
  running?.abort();
  running = new AbortController();
  reset();
  void followAlerts(running.signal);
  watch(running.signal);
  void refresh();
}

/** Displays the markets for another destination. */
export function chooseDestination(name: string): void {
  localStorage.setItem(DESTINATION, name);
  destination.set(name);
  markets.set(undefined);
  if (running !== undefined) watch(running.signal);
}

function watch(stop: AbortSignal): void {
  watching?.abort();
  const mine = new AbortController();
  watching = mine;
  stop.addEventListener("abort", () => mine.abort(), { once: true });
  void followMarkets(mine.signal, destination.get());
}

function reset(): void {
  cursor = "";
  gathered = [];
  for (const link of Object.values(links)) link.set({ state: "connecting", receivedAt: 0 });
  alerts.set({ all: [], older: "", isLoading: true, fresh: new Set() });
  markets.set(undefined);
  threats.set(undefined);
  policy.set(undefined);
}

let hiding: ReturnType<typeof setTimeout> | undefined;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") hiding = setTimeout(pause, HIDDEN_MS_MAX);
  else resume();
});
// The browser may keep a page that was left, with its streams, for the back button.
addEventListener("pagehide", pause);
addEventListener("pageshow", resume);

function pause(): void {
  running?.abort();
  for (const link of Object.values(links)) link.set({ ...link.get(), state: "paused" });
}

function resume(): void {
  if (!running?.signal.aborted || session.get().state === "out") return;
  running = new AbortController();
  void followAlerts(running.signal);
  watch(running.signal);
  void refresh();
}

async function followAlerts(stop: AbortSignal): Promise<void> {
  await follow(
    stop,
    links.alerts,
    async function* (signal) {
      if (cursor === "") await readAlerts();
      const request = {
        filter: everything,
        start: Start.CURSOR,
        cursor,
        heartbeatSeconds: HEARTBEAT_SECONDS,
        onGap: OnGap.FAIL,
      };
      for await (const response of alertService.subscribe(request, { signal })) {
        const { message } = response;
        if (message.case === "alerts") gather(message.value.alerts);
        if (message.case === "heartbeat") journalUnreachable.set(message.value.journalUnreachable);
        if (response.cursor !== "") cursor = response.cursor;
        yield message.case === "goAway"
          ? message.value.reconnectAfterMs
          : message.case === "caughtUp"
            ? "live"
            : "received";
      }
    },
    () => (cursor = ""),
  );
}

async function readAlerts(): Promise<void> {
  const page = await alertService.listAlerts(
    { filter: everything, order: Order.NEWEST_FIRST, pageSize: FIRST_PAGE },
    unary,
  );
  cursor = page.cursor;
  alerts.set({ all: page.alerts, older: page.nextPageToken, isLoading: false, fresh: new Set() });
}

/** Reads a page of older alerts, if there are any and the limit permits. */
export async function readOlder(): Promise<void> {
  const { older, isLoading, all } = alerts.get();
  if (older === "" || isLoading || all.length >= ALERTS_MAX) return;
  alerts.set({ ...alerts.get(), isLoading: true });
  try {
    const request = {
      filter: everything,
      order: Order.NEWEST_FIRST,
      pageSize: PAGE,
      pageToken: older,
    };
    const page = await alertService.listAlerts(request, unary);
    const now = alerts.get();
    alerts.set({
      ...now,
      all: [...now.all, ...page.alerts],
      older: page.nextPageToken,
      isLoading: false,
    });
  } catch {
    alerts.set({ ...alerts.get(), isLoading: false });
  }
}

function gather(more: Alert[]): void {
  if (gathered.length === 0) setTimeout(showGathered, BATCH_MS);
  gathered.push(...more);
}

function showGathered(): void {
  const now = alerts.get();
  const fresh = gathered.reverse();
  gathered = [];
  const all = [...fresh, ...now.all].slice(0, ALERTS_MAX);
  alerts.set({ ...now, all, fresh: new Set(fresh.map((alert) => alert.sequence)) });
}

async function followMarkets(stop: AbortSignal, wanted: string): Promise<void> {
  let seen = "";
  await follow(
    stop,
    links.markets,
    async function* (signal) {
      // Every stream starts with all markets: markets that are not among them no longer exist.
      let next: Map<string, Market> | undefined = new Map();
      const request = { destination: wanted, heartbeatSeconds: HEARTBEAT_SECONDS };
      for await (const response of marketService.watchMarkets(request, { signal })) {
        if (response.markets.length > 0) next ??= new Map(markets.get());
        for (const market of response.markets) next?.set(marketKey(market), market);
        if (response.journalTime !== undefined) {
          journalTime = milliseconds(response.journalTime);
          const day = new Date(journalTime).toISOString().slice(0, 10);
          if (day !== today.get()) today.set(day);
        }
        if (!response.more && next !== undefined) {
          markets.set(next);
          next = undefined;
        }
        if (response.cursor !== seen) void refresh();
        seen = response.cursor;
        yield response.more ? "received" : "live";
      }
    },
    () => chooseDestination("all"),
  );
}

/**
 * Keeps a stream open until `stop`. `open` yields "live" or "received" for a message, or the
 * milliseconds to wait before reconnecting. `lost` is called if the stream cannot be resumed.
 */
async function follow(
  stop: AbortSignal,
  link: Cell<Link>,
  open: (signal: AbortSignal) => AsyncIterable<"live" | "received" | number>,
  lost: () => void,
): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const call = new AbortController();
    const end = () => call.abort();
    stop.addEventListener("abort", end, { once: true });
    let silence = setTimeout(end, SILENCE_MS_MAX);
    let waitMs = 0;
    try {
      for await (const event of open(call.signal)) {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS_MAX);
        if (stop.aborted) break;
        failures = 0;
        if (typeof event === "number") waitMs = event;
        const state = event === "live" ? "live" : link.get().state;
        link.set({ state, receivedAt: Date.now() });
      }
    } catch (error) {
      if (stop.aborted) break;
      const failure = authFailure(error);
      if (failure === "role") link.set({ state: "denied", receivedAt: Date.now() });
      if (failure !== "none") break;
      const code = ConnectError.from(error).code;
      if ([Code.OutOfRange, Code.FailedPrecondition, Code.InvalidArgument].includes(code)) lost();
    } finally {
      clearTimeout(silence);
      stop.removeEventListener("abort", end);
    }
    if (stop.aborted) break;
    link.set({
      state: link.get().receivedAt === 0 ? "connecting" : "reconnecting",
      receivedAt: link.get().receivedAt,
    });
    const grown = Math.min(RECONNECT_MS * 2 ** failures++, RECONNECT_MS_MAX);
    await wait(Math.max(waitMs, grown * (0.5 + Math.random() / 2)), stop);
  }
}

function wait(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

let isRefreshing = false;
let isStale = false;

/** Reads threats and policy again, and unary more if they may have changed meanwhile. */
export async function refresh(): Promise<void> {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    await Promise.all([readThreats(), readPolicy()]);
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  }
  isRefreshing = false;
  if (links.markets.get().state === "denied") setTimeout(refresh, POLL_MS);
}

async function readThreats(): Promise<void> {
  try {
    const all: ThreatRecord[] = [];
    let pageToken = "";
    do {
      const page = await marketService.listThreats({ pageSize: PAGE, pageToken }, unary);
      all.push(...page.threats);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    threats.set(all);
  } catch (error) {
    authFailure(error);
  }
}

async function readPolicy(): Promise<void> {
  try {
    policy.set((await policyService.getPolicy({}, unary)).policy);
  } catch (error) {
    authFailure(error);
  }
}

// Signing out stops the streams.
session.listen(() => {
  if (session.get().state === "out") running?.abort();
});
