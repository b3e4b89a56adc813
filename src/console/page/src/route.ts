// The current view: the part of the address after the #.

import { useEffect, useState } from "preact/hooks";
import { Stage } from "../generated/lodewatch/v1/types_pb";

export type Route = { path: string } & (
  | { view: "board" | "alerts" | "threats" | "simulation" | "unknown" }
  | { view: "market"; mineral: string; stage: Stage }
  | { view: "alert"; sequence: bigint }
);

function parse(path: string): Route {
  const [name = "", first = "", second = ""] = path
    .replace(/^#?\/?/, "")
    .split("/")
    .map(decode);
  if (name === "" && first === "") return { path, view: "board" };
  if (name === "alerts" && /^\d{1,18}$/.test(first))
    return { path, view: "alert", sequence: BigInt(first) };
  if ((name === "alerts" || name === "threats" || name === "simulation") && first === "")
    return { path, view: name };
  if (name === "markets" && second === "mining")
    return { path, view: "market", mineral: first, stage: Stage.MINING };
  if (name === "markets" && second === "refining")
    return { path, view: "market", mineral: first, stage: Stage.REFINING };
  return { path, view: "unknown" };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

export function useRoute(): Route {
  const [path, setPath] = useState(location.hash);
  useEffect(() => {
    const changed = () => (setPath(location.hash), scrollTo(0, 0));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parse(path);
}
