// What is known now: two streams that come again by themselves, and what is asked for besides them.
//
// A browser opens no more than six connections to a node over HTTP/1.1, and each stream holds one. So a page that nobody sees
// lets its streams go, and resumes where it was when it is looked at again.

import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Alert, type AlertFilterSchema, Exercises, OnGap, Order, Start } from "../generated/lodewatch/v1/alert_pb";
import type { Market, ThreatRecord } from "../generated/lodewatch/v1/market_pb";
import type { Policy } from "../generated/lodewatch/v1/policy_pb";
import { alertService, isRefused, marketService, once, policyService, session } from "./api";
import type { Stage } from "../generated/lodewatch/v1/types_pb";
import { Cell } from "./store";
import { capital, milliseconds, stageName } from "./text";

/** Two of these without a word mean a dead stream. */
const HEARTBEAT_SECONDS = 5;
const SILENCE_MS_MAX = 2 * HEARTBEAT_SECONDS * 1000 + 1000;
/** Waits between attempts: the first, and the longest. */
const AGAIN_MS = 300;
const AGAIN_MS_MAX = 5000;
/** A page that is out of sight for so long lets its streams go. */
const HIDDEN_MS_MAX = 15_000;
/** Changes that come together are drawn together. */
const GATHER_MS = 40;
/** Threats and policy are read again at most so often; by who may not watch markets, so often. */
const REFRESH_MS = 1000;
const POLL_MS = 15_000;
/** Alerts in memory; the oldest go first, and are still on the server. */
export const ALERTS_MAX = 20_000;
const FIRST_PAGE = 200;
const PAGE = 1000;
const DESTINATION = "lodewatch.destination";

/** How a stream is: `denied` where the role lacks it. */
export type Link = { state: "connecting" | "live" | "reconnecting" | "paused" | "denied"; heard: number };
export type Alerts = { all: readonly Alert[]; older: string; isLoading: boolean; fresh: ReadonlySet<bigint> };

export const links = {
  alerts: new Cell<Link>({ state: "connecting", heard: 0 }),
  markets: new Cell<Link>({ state: "connecting", heard: 0 }),
};
export const outOfReach = new Cell(false);
export const alerts = new Cell<Alerts>({ all: [], older: "", isLoading: true, fresh: new Set() });
export const markets = new Cell<ReadonlyMap<string, Market> | undefined>(undefined);
export const threats = new Cell<readonly ThreatRecord[] | undefined>(undefined);
export const policy = new Cell<Policy | undefined>(undefined);
/** The journal's day, to which statuses are told. */
export const today = new Cell(new Date().toISOString().slice(0, 10));
/** The journal's time, in milliseconds. */
export let journalTime = Date.now();
/** For whom markets are shown. */
export const destination = new Cell(localStorage.getItem(DESTINATION) ?? "all");

export const marketKey = (market: { mineral: string; stage: number }) => `${market.mineral}/${stageName(market.stage)}`;

/** What people call a market. */
export function marketName(mineral: string, stage: Stage): string {
  const name = markets.get()?.get(marketKey({ mineral, stage }))?.name ?? mineral.replaceAll("_", " ");
  return `${capital(name)} ${stageName(stage)}`;
}

const everything: MessageInitShape<typeof AlertFilterSchema> = { exercises: Exercises.INCLUDE };

/** Where alerts go on; empty until the first are read. */
let cursor = "";
/** Alerts that came since the last drawing. */
let gathered: Alert[] = [];
let running: AbortController | undefined;
let watching: AbortController | undefined;

/** Begins, or begins anew for whoever is signed in now. */
export function start(): void {
  running?.abort();
  running = new AbortController();
  forget();
  void followAlerts(running.signal);
  watch(running.signal);
  void refresh();
}

/** Markets for another destination. */
export function choose(name: string): void {
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

function forget(): void {
  cursor = "";
  gathered = [];
  for (const link of Object.values(links)) link.set({ state: "connecting", heard: 0 });
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
// A page that is left may be kept for the way back, with its streams.
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
  await follow(stop, links.alerts, async function* (signal) {
    if (cursor === "") await readAlerts();
    const request = { filter: everything, start: Start.CURSOR, cursor, heartbeatSeconds: HEARTBEAT_SECONDS, onGap: OnGap.FAIL };
    for await (const response of alertService.subscribe(request, { signal })) {
      const { message } = response;
      if (message.case === "alerts") gather(message.value.alerts);
      if (message.case === "heartbeat") outOfReach.set(message.value.journalUnreachable);
      if (response.cursor !== "") cursor = response.cursor;
      yield message.case === "goAway" ? message.value.reconnectAfterMs : message.case === "caughtUp" ? "live" : "heard";
    }
  }, () => (cursor = ""));
}

async function readAlerts(): Promise<void> {
  const page = await alertService.listAlerts({ filter: everything, order: Order.NEWEST_FIRST, pageSize: FIRST_PAGE }, once);
  cursor = page.cursor;
  alerts.set({ all: page.alerts, older: page.nextPageToken, isLoading: false, fresh: new Set() });
}

/** Reads a page of older alerts, where there are any and room for them. */
export async function readOlder(): Promise<void> {
  const { older, isLoading, all } = alerts.get();
  if (older === "" || isLoading || all.length >= ALERTS_MAX) return;
  alerts.set({ ...alerts.get(), isLoading: true });
  try {
    const request = { filter: everything, order: Order.NEWEST_FIRST, pageSize: PAGE, pageToken: older };
    const page = await alertService.listAlerts(request, once);
    const now = alerts.get();
    alerts.set({ ...now, all: [...now.all, ...page.alerts], older: page.nextPageToken, isLoading: false });
  } catch {
    alerts.set({ ...alerts.get(), isLoading: false });
  }
}

function gather(more: Alert[]): void {
  if (gathered.length === 0) setTimeout(tell, GATHER_MS);
  gathered.push(...more);
}

function tell(): void {
  const now = alerts.get();
  const fresh = gathered.reverse();
  gathered = [];
  const all = [...fresh, ...now.all].slice(0, ALERTS_MAX);
  alerts.set({ ...now, all, fresh: new Set(fresh.map((alert) => alert.sequence)) });
}

async function followMarkets(stop: AbortSignal, wanted: string): Promise<void> {
  let seen = "";
  await follow(stop, links.markets, async function* (signal) {
    // Every stream begins with everything; what is no longer among it is gone.
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
      yield response.more ? "heard" : "live";
    }
  }, () => choose("all"));
}

/** Keeps a stream open until told to stop; it says when it is live, that it was heard, or how long to stay away. */
async function follow(
  stop: AbortSignal,
  link: Cell<Link>,
  open: (signal: AbortSignal) => AsyncIterable<"live" | "heard" | number>,
  lost: () => void,
): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const call = new AbortController();
    const end = () => call.abort();
    stop.addEventListener("abort", end, { once: true });
    let silence = setTimeout(end, SILENCE_MS_MAX);
    let stay = 0;
    try {
      for await (const word of open(call.signal)) {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS_MAX);
        if (stop.aborted) break;
        failures = 0;
        if (typeof word === "number") stay = word;
        const state = word === "live" ? "live" : link.get().state;
        link.set({ state, heard: Date.now() });
      }
    } catch (error) {
      if (stop.aborted) break;
      const refused = isRefused(error);
      if (refused === "role") link.set({ state: "denied", heard: Date.now() });
      if (refused !== "no") break;
      const code = ConnectError.from(error).code;
      if ([Code.OutOfRange, Code.FailedPrecondition, Code.InvalidArgument].includes(code)) lost();
    } finally {
      clearTimeout(silence);
      stop.removeEventListener("abort", end);
    }
    if (stop.aborted) break;
    link.set({ state: link.get().heard === 0 ? "connecting" : "reconnecting", heard: link.get().heard });
    const grown = Math.min(AGAIN_MS * 2 ** failures++, AGAIN_MS_MAX);
    await wait(Math.max(stay, grown * (0.5 + Math.random() / 2)), stop);
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

/** Reads threats and policy again; once more where they may have changed meanwhile. */
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
      const page = await marketService.listThreats({ pageSize: PAGE, pageToken }, once);
      all.push(...page.threats);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    threats.set(all);
  } catch (error) {
    isRefused(error);
  }
}

async function readPolicy(): Promise<void> {
  try {
    policy.set((await policyService.getPolicy({}, once)).policy);
  } catch (error) {
    isRefused(error);
  }
}

// Signed out, nothing runs on.
session.listen(() => {
  if (session.get().state === "out") running?.abort();
});
