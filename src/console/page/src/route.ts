// Where one is: the part of the address behind the #.

import { useEffect, useState } from "preact/hooks";
import { Stage } from "../generated/lodewatch/v1/types_pb";

export type Route = { path: string } & (
  | { place: "board" | "alerts" | "threats" | "what-if" | "nowhere" }
  | { place: "market"; mineral: string; stage: Stage }
  | { place: "alert"; sequence: bigint }
);

function parse(path: string): Route {
  const [place = "", first = "", second = ""] = path.replace(/^#?\/?/, "").split("/").map(decode);
  if (place === "" && first === "") return { path, place: "board" };
  if (place === "alerts" && /^\d{1,18}$/.test(first)) return { path, place: "alert", sequence: BigInt(first) };
  if ((place === "alerts" || place === "threats" || place === "what-if") && first === "") return { path, place };
  if (place === "markets" && second === "mining") return { path, place: "market", mineral: first, stage: Stage.MINING };
  if (place === "markets" && second === "refining") return { path, place: "market", mineral: first, stage: Stage.REFINING };
  return { path, place: "nowhere" };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

export function useRoute(): Route {
  const [path, turn] = useState(location.hash);
  useEffect(() => {
    const turned = () => (turn(location.hash), scrollTo(0, 0));
    addEventListener("hashchange", turned);
    return () => removeEventListener("hashchange", turned);
  }, []);
  return parse(path);
}
