import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Alert, AlertKind } from "../../generated/lodewatch/v1/alert_pb";
import { Level } from "../../generated/lodewatch/v1/types_pb";
import { alerts, ALERTS_MAX, readOlder } from "../live";
import { Drill, LevelBadge } from "../parts/level";
import { use } from "../store";
import * as text from "../text";

/** Rows that are drawn beyond what is seen. */
const AROUND = 10;
const kinds = Object.values(AlertKind).filter((kind): kind is AlertKind => typeof kind === "number" && kind !== AlertKind.UNSPECIFIED);

/** All alerts, the newest first. Only the rows in sight are drawn, so that any number of them is quick. */
export function AlertsView() {
  const { all, older, isLoading, fresh } = use(alerts);
  const [search, find] = useState("");
  const [least, setLeast] = useState<Level>(Level.UNSPECIFIED);
  const [kind, setKind] = useState<AlertKind>(AlertKind.UNSPECIFIED);
  useEffect(() => void (document.title = "Alerts – Lodewatch"), []);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return all.filter((alert) =>
      (least === Level.UNSPECIFIED || text.levelOfAlert(alert) >= least)
      && (kind === AlertKind.UNSPECIFIED || alert.kind === kind)
      && (wanted === "" || `${alert.sentence} ${alert.rule} ${alert.mineral}`.toLowerCase().includes(wanted)));
  }, [all, search, least, kind]);
  const newest = all[0];
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>Alerts <small>{newest === undefined ? "" : `${text.count(newest.sequence)} so far`}</small></h1>
        <div class="tools">
          <input type="search" placeholder="Words in alerts" aria-label="Search alerts" value={search} onInput={(event) => find(event.currentTarget.value)} />
          <select aria-label="Least level" value={least} onChange={(event) => setLeast(Number(event.currentTarget.value))}>
            <option value={Level.UNSPECIFIED}>Any level</option>
            <option value={Level.WATCH}>Watch or graver</option>
            <option value={Level.WARNING}>Warning or graver</option>
            <option value={Level.CRITICAL}>Critical</option>
          </select>
          <select aria-label="Kind" value={kind} onChange={(event) => setKind(Number(event.currentTarget.value))}>
            <option value={AlertKind.UNSPECIFIED}>Any kind</option>
            {kinds.map((one) => <option value={one}>{text.kindName(one)}</option>)}
          </select>
        </div>
      </div>
      {rows.length === 0
        ? <p class="wait">{isLoading ? "Reading alerts …" : all.length === 0 ? "No alert yet. They appear here the moment they are sent." : "No alert that is loaded is like this."}</p>
        : <Rows rows={rows} fresh={fresh} />}
      <p class="foot" role="status">
        {text.count(rows.length)} shown{rows.length < all.length && ` of ${text.count(all.length)} loaded`}.{" "}
        {older !== "" && all.length < ALERTS_MAX && <button class="quiet" disabled={isLoading} onClick={readOlder}>{isLoading ? "Reading older ones …" : "Load older ones"}</button>}
        {all.length >= ALERTS_MAX && "Older ones: lodewatch alerts."}
      </p>
    </>
  );
}

function Rows({ rows, fresh }: { rows: readonly Alert[]; fresh: ReadonlySet<bigint> }) {
  const list = useRef<HTMLDivElement>(null);
  const [view, look] = useState({ first: 0, last: 40, height: 48 });
  const top = useRef<{ sequence: bigint | undefined; length: number }>({ sequence: undefined, length: 0 });
  const see = () => {
    const box = list.current;
    if (box === null) return;
    const height = parseFloat(getComputedStyle(box).getPropertyValue("--row")) || 48;
    const above = -box.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / height) - AROUND);
    const last = Math.ceil((above + innerHeight) / height) + AROUND;
    look((now) => (now.first === first && now.last === last && now.height === height ? now : { first, last, height }));
    if (last >= rows.length) void readOlder();
  };
  useLayoutEffect(() => {
    // What is read stays where it is when others arrive above it.
    const before = top.current;
    const box = list.current;
    top.current = { sequence: rows[0]?.sequence, length: rows.length };
    if (box !== null && before.sequence !== undefined && box.getBoundingClientRect().top < 0) {
      const added = rows.findIndex((row) => row.sequence === before.sequence);
      if (added > 0) scrollBy(0, added * view.height);
    }
    see();
    addEventListener("scroll", see, { passive: true });
    addEventListener("resize", see);
    return () => (removeEventListener("scroll", see), removeEventListener("resize", see));
  }, [rows]);
  return (
    <div ref={list} class="alerts" role="list" style={{ height: `${rows.length * view.height}px` }}>
      {rows.slice(view.first, view.last).map((alert, at) => (
        <AlertRow key={alert.sequence.toString()} alert={alert} isFresh={fresh.has(alert.sequence)}
          place={view.first + at} of={rows.length} top={(view.first + at) * view.height} />
      ))}
    </div>
  );
}

function AlertRow({ alert, isFresh, place, of, top }: { alert: Alert; isFresh: boolean; place: number; of: number; top: number }) {
  return (
    <div role="listitem" class={isFresh ? "row fresh" : "row"} aria-posinset={place + 1} aria-setsize={of} style={{ top: `${top}px` }}>
      <AlertLine alert={alert} />
    </div>
  );
}

/** One alert in one line. What would be sent cannot be looked up. */
export function AlertLine({ alert, isSent = true }: { alert: Alert; isSent?: boolean }) {
  const level = text.levelOfAlert(alert);
  const line = (
    <>
      <time>{text.minute(alert.eventTime)}</time>
      {level === Level.UNSPECIFIED ? <span /> : <LevelBadge level={level} isOver={alert.level === Level.UNSPECIFIED} />}
      <span class={`kind ${text.kindName(alert.kind)}`}>{text.kindName(alert.kind)}</span>
      <span class="sentence">{alert.exercise && <Drill />}{alert.sentence}</span>
    </>
  );
  if (!isSent) return <div class="alert">{line}</div>;
  return <a class="alert" href={`#/alerts/${alert.sequence}`} data-sequence={alert.sequence.toString()}>{line}</a>;
}
