import { Level } from "../../generated/lodewatch/v1/types_pb";
import { levelName } from "../text";

const symbols: Record<Level, string> = {
  [Level.UNSPECIFIED]: "○",
  [Level.WATCH]: "●",
  [Level.WARNING]: "▲",
  [Level.CRITICAL]: "◆",
};

/** A level by colour, shape and word; faint if it is no longer active. */
export function LevelBadge({
  level,
  unknown,
  isOver,
}: {
  level: Level;
  unknown?: boolean;
  isOver?: boolean;
}) {
  const name = unknown === true ? "unknown" : levelName(level);
  return (
    <span class={`level ${name} ${isOver === true ? "over" : ""}`}>
      <span aria-hidden="true">{unknown === true ? "?" : symbols[level]}</span>
      {name}
    </span>
  );
}

/** The mark of an exercise. */
export function ExerciseTag() {
  return (
    <span class="exercise" title="A test, not a real event">
      exercise
    </span>
  );
}
