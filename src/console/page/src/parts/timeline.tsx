import type { ThreatRecord } from "../../generated/lodewatch/v1/market_pb";
import { country, fromToday, measureName, statusName } from "../text";
import { ExerciseTag } from "./level";

type Band = {
  from: number;
  to: number;
  kind: "announced" | "in-force" | "suspended";
  words: string;
};

const DAY_MS = 86_400_000;

/** Measures on a time line: when each was announced, in force and suspended, and its next date. */
export function Timeline({ records, today }: { records: readonly ThreatRecord[]; today: string }) {
  const now = Date.parse(today);
  const dates = records
    .flatMap((record) => bands(record, Infinity).flatMap((band) => [band.from, band.to]))
    .filter(Number.isFinite);
  const next = records.map((record) => Date.parse(record.nextBoundary)).filter(Number.isFinite);
  const start = Math.min(now - 365 * DAY_MS, ...dates);
  const end = Math.max(now + 180 * DAY_MS, ...dates, ...next.map((date) => date + 60 * DAY_MS));
  const at = (date: number) =>
    ((Math.min(Math.max(date, start), end) - start) / (end - start)) * 100;
  const first = new Date(start).getUTCFullYear() + 1;
  const step = Math.max(1, Math.ceil((new Date(end).getUTCFullYear() - first) / 8));
  const years: number[] = [];
  for (let year = first; Date.UTC(year) < end; year += step) years.push(year);
  return (
    <div class="timeline">
      <div class="axis" aria-hidden="true">
        {years.map((year) => (
          <span style={{ left: `${at(Date.UTC(year))}%` }}>{year}</span>
        ))}
      </div>
      <ul>
        {records.map((record) => (
          <li key={record.threat?.id}>
            <p class="title">
              <strong>{record.threat?.title || record.threat?.id}</strong>{" "}
              <span class={`status ${statusName(record.status).replace(" ", "-")}`}>
                {statusName(record.status)}
              </span>
              {record.exercise && <ExerciseTag />}
            </p>
            <div class="track" aria-hidden="true">
              {bands(record, end).map((band) => (
                <i
                  class={band.kind}
                  title={band.words}
                  style={{
                    left: `${at(band.from)}%`,
                    width: `${Math.max(0.4, at(band.to) - at(band.from))}%`,
                  }}
                />
              ))}
              {record.nextBoundary !== "" && (
                <b class="next" style={{ left: `${at(Date.parse(record.nextBoundary))}%` }} />
              )}
              <b class="now" style={{ left: `${at(now)}%` }} />
            </div>
            <p class="words">{words(record, today)}</p>
          </li>
        ))}
      </ul>
      <p class="legend" aria-hidden="true">
        <span>
          <i class="announced" /> announced
        </span>
        <span>
          <i class="in-force" /> in force
        </span>
        <span>
          <i class="suspended" /> suspended
        </span>
        <span>
          <b class="now" /> today
        </span>
        <span>
          <b class="next" /> next date
        </span>
      </p>
    </div>
  );
}

/**
 * The periods of a measure, from its announcement to its end. A period without an end lasts until
 * `open`.
 */
function bands(record: ThreatRecord, open: number): Band[] {
  const threat = record.threat;
  if (threat === undefined) return [];
  const read = (date: string, otherwise: number) => (date === "" ? otherwise : Date.parse(date));
  const removed = read(threat.dateRemoved, open);
  const effective = read(threat.dateEffective, removed);
  const all: Band[] = [];
  const add = (kind: Band["kind"], from: number, to: number, words: string) => {
    if (to > from) all.push({ kind, from, to, words });
  };
  if (threat.dateAnnounced !== "") {
    add(
      "announced",
      Date.parse(threat.dateAnnounced),
      Math.min(effective, removed),
      `announced ${threat.dateAnnounced}`,
    );
  }
  if (threat.dateEffective === "") return all;
  let from = effective;
  for (const one of threat.suspensions) {
    const [begin, end] = [
      Math.max(effective, read(one.from, effective)),
      Math.min(removed, read(one.until, open)),
    ];
    add("in-force", from, begin, "in force");
    add("suspended", begin, end, `suspended ${one.from} to ${one.until || "no date"}`);
    from = Math.max(from, end);
  }
  add("in-force", from, removed, `in force from ${threat.dateEffective}`);
  return all;
}

/** The same as text. */
function words(record: ThreatRecord, today: string): string {
  const threat = record.threat;
  if (threat === undefined) return "";
  const to = threat.destination?.only.length
    ? `toward ${threat.destination.only.map(country).join(", ")}`
    : threat.destination?.except.length
      ? `toward all except ${threat.destination.except.map(country).join(", ")}`
      : "toward all buyers";
  const parts = [`${country(threat.imposing)}: ${measureName(threat.measure)} ${to}`];
  if (threat.dateAnnounced !== "") parts.push(`announced ${threat.dateAnnounced}`);
  if (threat.dateEffective !== "") parts.push(`in force from ${threat.dateEffective}`);
  for (const one of threat.suspensions)
    parts.push(`suspended ${one.from} to ${one.until === "" ? "no date" : one.until}`);
  if (threat.dateRemoved !== "") parts.push(`ends ${threat.dateRemoved}`);
  if (record.nextBoundary !== "")
    parts.push(`next date ${record.nextBoundary}, ${fromToday(record.nextBoundary, today)}`);
  if (!record.movesIndices) parts.push("changes no metric");
  return parts.join(" · ");
}
