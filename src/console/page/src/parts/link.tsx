import { useEffect, useState } from "preact/hooks";
import { links, type Link } from "../live";
import { use } from "../store";
import { clock } from "../text";

/** So long after the last word it is said since when nothing is known. */
const STALE_MS = 10_000;

/** How the connection is. */
export function LinkState() {
  const [alerts, markets] = [use(links.alerts), use(links.markets)];
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const [symbol, words, state] = said([alerts, markets], now);
  return <span class={`link ${state}`} role="status"><span aria-hidden="true">{symbol}</span> {words}</span>;
}

function said(all: Link[], now: number): [string, string, string] {
  const is = (state: Link["state"]) => all.some((link) => link.state === state);
  if (is("denied")) return ["○", "Read on demand", "idle"];
  if (is("paused")) return ["○", "Paused", "idle"];
  if (is("reconnecting")) {
    const heard = Math.min(...all.map((link) => link.heard));
    if (now - heard > STALE_MS) return ["▲", `Stale since ${clock(heard)} UTC`, "stale"];
    return ["◌", "Reconnecting", "again"];
  }
  if (is("connecting")) return ["◌", "Connecting", "again"];
  return ["●", "Live", "live"];
}
