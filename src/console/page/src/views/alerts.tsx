import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Alert, AlertKind } from "../../generated/lodewatch/v1/alert_pb";
import { Level } from "../../generated/lodewatch/v1/types_pb";
import { alerts, ALERTS_MAX, readOlder } from "../live";
import { ExerciseTag, LevelBadge } from "../parts/level";
import { use } from "../store";
import * as text from "../text";

/** How many rows are rendered above and below the visible ones. */
const OVERSCAN = 10;
const kinds = Object.values(AlertKind).filter(
  (kind): kind is AlertKind => typeof kind === "number" && kind !== AlertKind.UNSPECIFIED,
);

/** All alerts, newest first. Only visible rows are rendered, so that long lists stay fast. */
export function AlertsView() {
  const { all, older, isLoading, fresh } = use(alerts);
  const [search, setSearch] = useState("");
  const [minimum, setMinimum] = useState<Level>(Level.UNSPECIFIED);
  const [kind, setKind] = useState<AlertKind>(AlertKind.UNSPECIFIED);
  useEffect(() => void (document.title = "Alerts – Lodewatch"), []);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return all.filter(
      (alert) =>
        (minimum === Level.UNSPECIFIED || text.levelOfAlert(alert) >= minimum) &&
        (kind === AlertKind.UNSPECIFIED || alert.kind === kind) &&
        (wanted === "" ||
          `${alert.sentence} ${alert.rule} ${alert.mineral}`.toLowerCase().includes(wanted)),
    );
  }, [all, search, minimum, kind]);
  const newest = all[0];
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>
          Alerts{" "}
          <small>{newest === undefined ? "" : `${text.count(newest.sequence)} so far`}</small>
        </h1>
        <div class="tools">
          <input
            type="search"
            placeholder="Search alerts"
            aria-label="Search alerts"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
          <select
            aria-label="Minimum level"
            value={minimum}
            onChange={(event) => setMinimum(Number(event.currentTarget.value))}
          >
            <option value={Level.UNSPECIFIED}>Any level</option>
            <option value={Level.WATCH}>Watch or higher</option>
            <option value={Level.WARNING}>Warning or higher</option>
            <option value={Level.CRITICAL}>Critical</option>
          </select>
          <select
            aria-label="Kind"
            value={kind}
            onChange={(event) => setKind(Number(event.currentTarget.value))}
          >
            <option value={AlertKind.UNSPECIFIED}>Any kind</option>
            {kinds.map((one) => (
              <option value={one}>{text.kindName(one)}</option>
            ))}
          </select>
        </div>
      </div>
      {rows.length === 0 ? (
        <p class="wait">
          {isLoading
            ? "Loading alerts …"
            : all.length === 0
              ? "No alerts yet. New alerts appear here at once."
              : "No loaded alerts match."}
        </p>
      ) : (
        <Rows rows={rows} fresh={fresh} />
      )}
      <p class="foot" role="status">
        {text.count(rows.length)} shown
        {rows.length < all.length && ` of ${text.count(all.length)} loaded`}.{" "}
        {older !== "" && all.length < ALERTS_MAX && (
          <button class="quiet" disabled={isLoading} onClick={readOlder}>
            {isLoading ? "Loading older alerts …" : "Load older alerts"}
          </button>
        )}
        {all.length >= ALERTS_MAX && "For older alerts, use: lodewatch alerts"}
      </p>
    </>
  );
}

function Rows({ rows, fresh }: { rows: readonly Alert[]; fresh: ReadonlySet<bigint> }) {
  const list = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ first: 0, last: 40, height: 48 });
  const top = useRef<{ sequence: bigint | undefined; length: number }>({
    sequence: undefined,
    length: 0,
  });
  const update = () => {
    const box = list.current;
    if (box === null) return;
    const height = parseFloat(getComputedStyle(box).getPropertyValue("--row")) || 48;
    const above = -box.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / height) - OVERSCAN);
    const last = Math.ceil((above + innerHeight) / height) + OVERSCAN;
    setView((now) =>
      now.first === first && now.last === last && now.height === height
        ? now
        : { first, last, height },
    );
    if (last >= rows.length) void readOlder();
  };
  useLayoutEffect(() => {
    // Rows that are being read keep their position when new alerts arrive above them.
    const before = top.current;
    const box = list.current;
    top.current = { sequence: rows[0]?.sequence, length: rows.length };
    if (box !== null && before.sequence !== undefined && box.getBoundingClientRect().top < 0) {
      const added = rows.findIndex((row) => row.sequence === before.sequence);
      if (added > 0) scrollBy(0, added * view.height);
    }
    update();
    addEventListener("scroll", update, { passive: true });
    addEventListener("resize", update);
    return () => (removeEventListener("scroll", update), removeEventListener("resize", update));
  }, [rows]);
  return (
    <div ref={list} class="alerts" role="list" style={{ height: `${rows.length * view.height}px` }}>
      {rows.slice(view.first, view.last).map((alert, at) => (
        <AlertRow
          key={alert.sequence.toString()}
          alert={alert}
          isFresh={fresh.has(alert.sequence)}
          position={view.first + at}
          of={rows.length}
          top={(view.first + at) * view.height}
        />
      ))}
    </div>
  );
}

function AlertRow({
  alert,
  isFresh,
  position,
  of,
  top,
}: {
  alert: Alert;
  isFresh: boolean;
  position: number;
  of: number;
  top: number;
}) {
  return (
    <div
      role="listitem"
      class={isFresh ? "row fresh" : "row"}
      aria-posinset={position + 1}
      aria-setsize={of}
      style={{ top: `${top}px` }}
    >
      <AlertLine alert={alert} />
    </div>
  );
}

/** One alert as one line. An alert of a simulation has no page of its own. */
export function AlertLine({ alert, isSent = true }: { alert: Alert; isSent?: boolean }) {
  const level = text.levelOfAlert(alert);
  const line = (
    <>
      <time>{text.minute(alert.eventTime)}</time>
      {level === Level.UNSPECIFIED ? (
        <span />
      ) : (
        <LevelBadge level={level} isOver={alert.level === Level.UNSPECIFIED} />
      )}
      <span class={`kind ${text.kindName(alert.kind)}`}>{text.kindName(alert.kind)}</span>
      <span class="sentence">
        {alert.exercise && <ExerciseTag />}
        {alert.sentence}
      </span>
    </>
  );
  if (!isSent) return <div class="alert">{line}</div>;
  return (
    <a class="alert" href={`#/alerts/${alert.sequence}`} data-sequence={alert.sequence.toString()}>
      {line}
    </a>
  );
}
