import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Market, MarketState } from "../../generated/lodewatch/v1/market_pb";
import { Level, Metric, Stage } from "../../generated/lodewatch/v1/types_pb";
import { destination, marketKey, markets, threats } from "../live";
import { ExerciseTag, LevelBadge } from "../parts/level";
import { use } from "../store";
import * as text from "../text";

type Grade = Level | "unknown";
type Row = { mineral: string; name: string; at: Map<Stage, Market> };

const grades: Grade[] = [Level.CRITICAL, Level.WARNING, Level.WATCH, Level.UNSPECIFIED, "unknown"];

/** All markets: a row per mineral, a column per stage. */
export function BoardView() {
  const known = use(markets);
  const buyer = use(destination);
  const exercises = useExercises();
  const [search, setSearch] = useState("");
  const [only, setOnly] = useState<Grade | undefined>();
  const [isByName, setByName] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Board – Lodewatch";
    const slash = (event: KeyboardEvent) => {
      if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
        event.preventDefault();
        field.current?.focus();
      }
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);
  const all = useMemo(() => [...(known?.values() ?? [])], [known]);
  const rows = useMemo(
    () => shown(all, buyer, search, only, isByName),
    [all, buyer, search, only, isByName],
  );
  const countOf = (grade: Grade) => all.filter((market) => gradeOf(market, buyer) === grade).length;
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>
          Markets <small>for {text.destination(buyer)}</small>
        </h1>
        <div class="tools">
          <input
            ref={field}
            type="search"
            placeholder="Mineral or country"
            aria-label="Search minerals and leading countries"
            aria-keyshortcuts="/"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
          <button aria-pressed={isByName} onClick={() => setByName(!isByName)}>
            A to Z
          </button>
        </div>
      </div>
      <div class="grades" role="group" aria-label="Only markets of one level">
        {grades
          .filter((grade) => grade !== "unknown" || countOf(grade) > 0)
          .map((grade) => (
            <button
              aria-pressed={only === grade}
              onClick={() => setOnly(only === grade ? undefined : grade)}
            >
              <strong>{countOf(grade)}</strong>
              <LevelBadge
                level={grade === "unknown" ? Level.UNSPECIFIED : grade}
                unknown={grade === "unknown"}
              />
            </button>
          ))}
      </div>
      {known === undefined ? (
        <p class="wait">Loading markets …</p>
      ) : rows.length === 0 ? (
        <p class="wait">
          {all.length === 0
            ? "No markets yet. Publish supply reports, or import some: lodewatch import usgs FILE"
            : "No markets match."}
        </p>
      ) : (
        <table class="board">
          <caption class="hidden">
            Level, leading country and its share, and HHI of each mineral at each stage
          </caption>
          <thead>
            <tr>
              <th scope="col">Mineral</th>
              <th scope="col">Mining</th>
              <th scope="col">Refining</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.mineral}>
                <th scope="row">{text.capital(row.name)}</th>
                {text.stages.map((stage) => (
                  <Square
                    key={stage}
                    market={row.at.get(stage)}
                    stage={stage}
                    buyer={buyer}
                    exercises={exercises}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Square({
  market,
  stage,
  buyer,
  exercises,
}: {
  market: Market | undefined;
  stage: Stage;
  buyer: string;
  exercises: ReadonlySet<string>;
}) {
  if (market === undefined) return <td class="none" />;
  const level = text.levelOf(market, buyer);
  const isUnknown = market.state === MarketState.UNKNOWN;
  const top = text.metricOf(market, Metric.TOP1_SHARE);
  const elsewhere =
    Math.max(Level.UNSPECIFIED, ...market.ruleStatuses.map((one) => one.level)) > level;
  return (
    <td data-stage={text.stageName(stage)}>
      <a
        class={`square ${isUnknown ? "unknown" : text.levelName(level)}`}
        href={text.marketPath(market.mineral, stage)}
        data-market={marketKey(market)}
      >
        <LevelBadge level={level} unknown={isUnknown} />
        <span class="who">
          {isUnknown ? "no report" : market.leaders.map(text.country).join(", ")}
        </span>
        <span class="share">{top === undefined ? "" : text.percent(top.lower)}</span>
        <span class="bar" aria-hidden="true">
          <i style={{ width: `${(top?.lower ?? 0) * 100}%` }} />
        </span>
        <span class="hhi">
          {text.metricOf(market, Metric.HHI) !== undefined && (
            <>
              <small>HHI </small>
              {text.interval(Metric.HHI, text.metricOf(market, Metric.HHI))}
            </>
          )}
        </span>
        <span class="marks">
          {elsewhere && (
            <span class="mark" title="A higher level is active for another buyer">
              higher elsewhere
            </span>
          )}
          {market.threatEffects.some((one) => exercises.has(one.threatId)) && <ExerciseTag />}
        </span>
      </a>
    </td>
  );
}

/** The ids of threats that belong to exercises. */
function useExercises(): ReadonlySet<string> {
  const all = use(threats);
  return useMemo(
    () => new Set(all?.filter((one) => one.exercise).map((one) => one.threat?.id ?? "")),
    [all],
  );
}

function gradeOf(market: Market, buyer: string): Grade {
  return market.state === MarketState.UNKNOWN ? "unknown" : text.levelOf(market, buyer);
}

function shown(
  all: Market[],
  buyer: string,
  search: string,
  only: Grade | undefined,
  isByName: boolean,
): Row[] {
  const wanted = search.trim().toLowerCase();
  const rows = new Map<string, Row>();
  for (const market of all) {
    const words = [
      market.name,
      market.mineral,
      ...market.leaders,
      ...market.leaders.map(text.country),
    ];
    if (!words.some((word) => word.toLowerCase().includes(wanted))) continue;
    if (only !== undefined && gradeOf(market, buyer) !== only) continue;
    const row = rows.get(market.mineral) ?? {
      mineral: market.mineral,
      name: market.name,
      at: new Map(),
    };
    row.at.set(market.stage, market);
    rows.set(market.mineral, row);
  }
  const weight = (row: Row) =>
    Math.max(
      ...[...row.at.values()].map((market) => {
        return text.levelOf(market, buyer) * 1e6 + (text.metricOf(market, Metric.HHI)?.lower ?? 0);
      }),
    );
  const byName = (one: Row, other: Row) => one.name.localeCompare(other.name, "en");
  return [...rows.values()].sort(
    (one, other) => (isByName ? 0 : weight(other) - weight(one)) || byName(one, other),
  );
}
