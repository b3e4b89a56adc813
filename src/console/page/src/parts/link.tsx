import { useEffect, useState } from "preact/hooks";
import { links, type Link } from "../live";
import { use } from "../store";
import { clock } from "../text";

/** How long after the last message the page shows since when it is stale. */
const STALE_MS = 10_000;

/** The state of the connection. */
export function LinkState() {
  const [alerts, markets] = [use(links.alerts), use(links.markets)];
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const [symbol, words, state] = describe([alerts, markets], now);
  return (
    <span class={`link ${state}`} role="status">
      <span aria-hidden="true">{symbol}</span> {words}
    </span>
  );
}

function describe(all: Link[], now: number): [string, string, string] {
  const is = (state: Link["state"]) => all.some((link) => link.state === state);
  if (is("denied")) return ["○", "Loaded on demand", "idle"];
  if (is("paused")) return ["○", "Paused", "idle"];
  if (is("reconnecting")) {
    const receivedAt = Math.min(...all.map((link) => link.receivedAt));
    if (now - receivedAt > STALE_MS) return ["▲", `Stale since ${clock(receivedAt)} UTC`, "stale"];
    return ["◌", "Reconnecting", "again"];
  }
  if (is("connecting")) return ["◌", "Connecting", "again"];
  return ["●", "Live", "live"];
}
