import { useEffect, useMemo, useState } from "preact/hooks";
import type { ThreatRecord } from "../../generated/lodewatch/v1/market_pb";
import { ThreatStatus } from "../../generated/lodewatch/v1/types_pb";
import { marketName, threats, today } from "../live";
import { ExerciseTag } from "../parts/level";
import { use } from "../store";
import * as text from "../text";

const over = [ThreatStatus.REMOVED, ThreatStatus.WITHDRAWN, ThreatStatus.SUPERSEDED];

/** Threats in order of the next date on which their status may change. */
export function ThreatsView() {
  const all = use(threats);
  const day = use(today);
  const [search, setSearch] = useState("");
  const [isPastShown, setPastShown] = useState(false);
  useEffect(() => void (document.title = "Threats – Lodewatch"), []);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    const rows = (all ?? []).filter(
      (record) => (isPastShown || !over.includes(record.status)) && words(record).includes(wanted),
    );
    const next = (record: ThreatRecord) =>
      record.nextBoundary === "" ? `9${record.threat?.id}` : record.nextBoundary;
    return rows.sort((one, other) => next(one).localeCompare(next(other)));
  }, [all, search, isPastShown]);
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>
          Threats <small>by next date</small>
        </h1>
        <div class="tools">
          <input
            type="search"
            placeholder="Country, mineral or title"
            aria-label="Search threats"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
          <button aria-pressed={isPastShown} onClick={() => setPastShown(!isPastShown)}>
            Show ended
          </button>
        </div>
      </div>
      {all === undefined ? (
        <p class="wait">Loading threats …</p>
      ) : rows.length === 0 ? (
        <p class="wait">{all.length === 0 ? "No threats yet." : "No threats match."}</p>
      ) : (
        <ul class="threats">
          {rows.map((record) => (
            <Entry key={record.threat?.id} record={record} day={day} />
          ))}
        </ul>
      )}
    </>
  );
}

function Entry({ record, day }: { record: ThreatRecord; day: string }) {
  const threat = record.threat;
  if (threat === undefined) return null;
  const to = threat.destination?.only.length
    ? `toward ${threat.destination.only.map(text.country).join(", ")}`
    : threat.destination?.except.length
      ? `toward all except ${threat.destination.except.map(text.country).join(", ")}`
      : "toward all buyers";
  return (
    <li data-threat={threat.id}>
      <p class="next">
        {record.nextBoundary === "" ? (
          <span class="hint">no date set</span>
        ) : (
          <>
            <time dateTime={record.nextBoundary}>{record.nextBoundary}</time>{" "}
            <small>{text.fromToday(record.nextBoundary, day)}</small>
          </>
        )}
      </p>
      <div>
        <p class="title">
          <strong>{threat.title || threat.id}</strong> {record.exercise && <ExerciseTag />}
        </p>
        <p class="words">
          {text.country(threat.imposing)}: {text.measureName(threat.measure)} {to}
        </p>
        <p class="affected">
          {record.markets.map((one) => (
            <a key={one.mineral + one.stage} href={text.marketPath(one.mineral, one.stage)}>
              {marketName(one.mineral, one.stage)}
              {one.imposingShare !== undefined && <small> {text.percent(one.imposingShare)}</small>}
            </a>
          ))}
          {record.markets.length === 0 &&
            threat.minerals.map((mineral) => <span>{mineral.replaceAll("_", " ")}</span>)}
        </p>
      </div>
      <p class="where">
        <span class={`status ${text.statusName(record.status).replace(" ", "-")}`}>
          {text.statusName(record.status)}
        </span>
        {!record.movesIndices && <small>changes no metric</small>}
      </p>
    </li>
  );
}

function words(record: ThreatRecord): string {
  const threat = record.threat;
  return `${threat?.id} ${threat?.title} ${threat?.imposing} ${text.country(threat?.imposing ?? "")} ${threat?.minerals.join(" ")}`.toLowerCase();
}
