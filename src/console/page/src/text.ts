// Names and number formats, the same as on the command line.

import { AlertKind, type Alert, CauseKind } from "../generated/lodewatch/v1/alert_pb";
import type { Market } from "../generated/lodewatch/v1/market_pb";
import {
  Flag,
  Level,
  Measure,
  Metric,
  ScopeMatch,
  Stage,
  ThreatStatus,
} from "../generated/lodewatch/v1/types_pb";
import type { Interval } from "../generated/lodewatch/v1/types_pb";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import countries from "./countries.json";

const names: Record<string, string> = countries;

export const countryCodes = Object.keys(names).sort((one, other) =>
  country(one).localeCompare(country(other), "en"),
);

export function country(code: string): string {
  return names[code] ?? code;
}

/** How many items the server omitted from a list; empty if none. */
export const more = (omitted: number) => (omitted > 0 ? ` and ${count(omitted)} more` : "");

/** A destination of rules and views. */
export function destination(name: string): string {
  if (name === "all") return "all buyers";
  if (name === "any") return "any buyer";
  return country(name);
}

export const stages = [Stage.MINING, Stage.REFINING] as const;

/** An enum's value as words: `in force`. */
function words(of: Record<number, string>, value: number): string {
  return (of[value] ?? "unknown").toLowerCase().replaceAll("_", " ");
}

export const stageName = (stage: Stage) => words(Stage, stage);
export const measureName = (measure: Measure) => words(Measure, measure);
export const statusName = (status: ThreatStatus) => words(ThreatStatus, status);
export const scopeName = (scope: ScopeMatch) => words(ScopeMatch, scope);
export const flagName = (flag: Flag) => words(Flag, flag);
export const kindName = (kind: AlertKind) => words(AlertKind, kind);

export function levelName(level: Level): string {
  return level === Level.UNSPECIFIED ? "none" : words(Level, level);
}

export function metricName(metric: Metric): string {
  switch (metric) {
    case Metric.HHI:
      return "HHI";
    case Metric.HHI_T:
      return "HHI with t";
    case Metric.HHI_WGI_T:
      return "HHI with governance and t";
    case Metric.ANNOUNCED_HHI_T:
      return "HHI with t, including announced measures";
    case Metric.TOP1_SHARE:
      return "Largest share";
    case Metric.CR3:
      return "Three largest shares";
    case Metric.N_MINUS_1:
      return "Share without the largest";
    default:
      return capital(words(Metric, metric));
  }
}

/** Whether its values are fractions of the market. */
export function isShare(metric: Metric): boolean {
  return ![Metric.HHI, Metric.HHI_T, Metric.HHI_WGI_T, Metric.ANNOUNCED_HHI_T].includes(metric);
}

/** Whether lower values are worse. */
export function isFalling(metric: Metric): boolean {
  return metric === Metric.AVAILABLE_SHARE || metric === Metric.N_MINUS_1;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat("en", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

export const count = (number: number | bigint) => whole.format(number);
export const percent = (share: number) => `${tenth.format(share * 100)} %`;

export function figure(metric: Metric, value: number): string {
  if (isShare(metric)) return percent(value);
  return metric === Metric.HHI_WGI_T ? hundredth.format(value) : whole.format(value);
}

/** An interval, or one figure if both bounds are displayed the same. */
export function interval(metric: Metric, value: Interval | undefined): string {
  if (value === undefined) return "–";
  const [lower, upper] = [figure(metric, value.lower), figure(metric, value.upper)];
  if (lower === upper) return lower;
  return isShare(metric) ? `${lower.replace(" %", "")}–${upper}` : `${lower}–${upper}`;
}

export function metricOf(market: Market | undefined, metric: Metric): Interval | undefined {
  return market?.metrics.find((one) => one.metric === metric)?.value;
}

/** Whether an alert or rule status applies to this destination. */
export function isFor(one: { destination: string }, destination: string): boolean {
  return one.destination === "" || one.destination === destination;
}

/** The highest active level for a destination. */
export function levelOf(market: Market, destination: string): Level {
  const levels = market.ruleStatuses
    .filter((one) => isFor(one, destination))
    .map((one) => one.level);
  return Math.max(Level.UNSPECIFIED, ...levels);
}

/** The level of an alert; of a cleared one, the previous level. */
export function levelOfAlert(alert: Alert): Level {
  if (alert.level !== Level.UNSPECIFIED) return alert.level;
  return alert.possibleLevel !== Level.UNSPECIFIED ? alert.possibleLevel : alert.previousLevel;
}

/** With a capital first letter. */
export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

export function marketPath(mineral: string, stage: Stage): string {
  return `#/markets/${encodeURIComponent(mineral)}/${stageName(stage)}`;
}

export function milliseconds(at: Timestamp | undefined): number {
  return at === undefined ? 0 : Number(at.seconds) * 1000 + Math.floor(at.nanos / 1e6);
}

export const day = (at: Timestamp | undefined) =>
  new Date(milliseconds(at)).toISOString().slice(0, 10);
export const clock = (at: number) => new Date(at).toISOString().slice(11, 19);

/** `2026-11-24 12:03`, in UTC. */
export const minute = (at: Timestamp | undefined) =>
  new Date(milliseconds(at)).toISOString().slice(0, 16).replace("T", " ");

const DAY_MS = 86_400_000;

/** `in 12 days`, `today`, `3 days ago`. */
export function fromToday(date: string, today: string): string {
  const days = Math.round((Date.parse(date) - Date.parse(today)) / DAY_MS);
  if (Number.isNaN(days)) return "";
  if (days === 0) return "today";
  const distance = Math.abs(days);
  const number =
    distance >= 730
      ? `${whole.format(distance / 365)} years`
      : `${whole.format(distance)} day${distance === 1 ? "" : "s"}`;
  return days > 0 ? `in ${number}` : `${number} ago`;
}

/** The cause of an alert, as the object of "caused by". */
export function causeName(alert: Alert): string {
  const cause = alert.cause;
  const by = cause?.feed ? `, from feed ${cause.feed}` : "";
  const ids = (cause?.threatIds.join(", ") ?? "") + more(cause?.threatsOmitted ?? 0);
  switch (cause?.kind) {
    case CauseKind.DATA:
      return cause.removedReport ? `the removal of a supply report${by}` : `a supply report${by}`;
    case CauseKind.THREAT:
      return `threat ${ids}${by}`;
    case CauseKind.CLOCK:
      return ids === "" ? "the end of a waiting time" : `a date of ${ids}`;
    case CauseKind.POLICY:
      return "a new policy";
    default:
      return "an unknown cause";
  }
}
