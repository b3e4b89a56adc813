import { Level } from "../../generated/lodewatch/v1/types_pb";
import { levelName } from "../text";

const symbols: Record<Level, string> = {
  [Level.UNSPECIFIED]: "○",
  [Level.WATCH]: "●",
  [Level.WARNING]: "▲",
  [Level.CRITICAL]: "◆",
};

/** A level by colour, by shape and by word; faint where it is over. */
export function LevelBadge({ level, unknown, isOver }: { level: Level; unknown?: boolean; isOver?: boolean }) {
  const name = unknown === true ? "unknown" : levelName(level);
  return <span class={`level ${name} ${isOver === true ? "over" : ""}`}><span aria-hidden="true">{unknown === true ? "?" : symbols[level]}</span>{name}</span>;
}

/** The mark of a drill: not meant. */
export function Drill() {
  return <span class="drill" title="An exercise: not meant">drill</span>;
}
