"""Batch slots: one compiled step advances all slots, each of which holds an image at a step of its own.

A finished image leaves its slot and the next one enters, so no image waits for the slowest of a batch. Independent of files
and generators.
"""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from mgan_jax import execution, inversion
from mgan_jax.engine import memory

CHECKS = 10  # times in its steps that an image is checked for its end
PIECE = 10  # steps of one program on accelerators; a run can be stopped between two programs


@functools.partial(jax.jit, donate_argnums=0)
def _replace(state: Any, fresh: Any, chosen: jax.Array) -> Any:
    """`fresh` for the chosen images [B], `state` for the others."""
    return execution.select_images(chosen, fresh, state)


class Program(NamedTuple):
    """Compiled functions over all slots; every leaf of states, targets and outputs has the slots on its first axis.

    begin(start, *shared) -> (state, target) before the first step. step: update(state, target, *shared). finish(codes,
    target, *shared) -> the output of codes. shared: the weights. place(tree): moves host arrays to the devices, sharded as
    `begin` returns them. devices: their number; the number of slots is a multiple of it.
    """

    begin: Callable
    step: inversion.Step
    finish: Callable
    shared: tuple
    place: Callable = jax.device_put
    devices: int = 1


class SlotEntry(NamedTuple):
    """An image that enters a slot. item: the caller's, returned with the image. start: input of `Program.begin`, NumPy arrays
    with a first axis of 1. progress: where an earlier run stopped, None for a new image."""

    item: Any
    start: Any
    progress: 'ImageProgress | None' = None


class StoppingRules(NamedTuple):
    """When an image is finished: after num_steps; when its loss became NaN or infinite; or when its best loss fell by less
    than the share `tolerance` over the last tenth of num_steps (0: never).

    keep: the iterate that is the result, 'best' or 'last'. curve_every: the losses at its multiples are kept. show_every: an
    image is shown at its multiples and at its end (0: never).
    """

    num_steps: int
    tolerance: float = 0.0
    keep: str = 'best'
    curve_every: int = 1
    show_every: int = 0

    @property
    def interval(self) -> int:
        """Steps between two checks of an image."""
        return max(1, self.num_steps // CHECKS)

    def until_check(self, steps: int) -> int:
        """Steps from `steps` to the next check, independent of the other images."""
        stops = (self.interval, self.show_every) if self.show_every else (self.interval,)
        return min(self.num_steps - steps, *(every - steps % every for every in stops))

    def shows(self, steps: int, ended: bool) -> bool:
        """Whether an image is shown after `steps`."""
        return bool(self.show_every) and (ended or steps % self.show_every == 0)


class SlotImage(NamedTuple):
    """An image after a turn; NumPy arrays without the axis of the slots.

    codes, loss: of the iterate that `StoppingRules.keep` names. output: of these codes, None if it was not computed.
    failed_at: the step at which the loss became NaN or infinite, or -1. steps: that changed the codes. left: steps that
    remained. seconds: its share of the time of its turns. losses, shown: see `ImageProgress`.
    """

    item: Any
    codes: Any
    output: Any
    loss: float
    failed_at: int
    steps: int
    left: int
    seconds: float
    finished: bool
    losses: tuple[tuple[int, float], ...] = ()
    shown: tuple[tuple[int, Any], ...] = ()


class ImageProgress(NamedTuple):
    """Everything that an image needs to continue with the same bits.

    state: of this image, NumPy arrays, None before its first step. compared: its best loss at the last check. losses:
    (step, loss) before a failure. shown: (steps, what `show` returned).
    """

    state: Any = None
    steps: int = 0
    seconds: float = 0.0
    compared: float = math.inf
    losses: tuple[tuple[int, float], ...] = ()
    shown: tuple[tuple[int, Any], ...] = ()


class Slot(NamedTuple):
    """An unfinished image."""

    entry: SlotEntry
    progress: ImageProgress


class Turn(NamedTuple):
    """Some steps of all slots. images: all that were in the slots. left: those that are unfinished. steps: of each image.
    seconds: the duration. computing: the seconds of it in which the device worked."""

    images: list[SlotImage]
    left: list[Slot]
    steps: int
    seconds: float
    computing: float


class SlotPool(NamedTuple):
    """slots: None where there is no image. state, target: on the device, None before the first image enters."""

    slots: list[Slot | None]
    state: Any = None
    target: Any = None

    @property
    def active(self) -> dict[int, Slot]:
        return {place: slot for place, slot in enumerate(self.slots) if slot is not None}


def run_slots(
    program: Program,
    entries: Iterable[SlotEntry],
    size: int,
    rules: StoppingRules,
    *,
    watch: bool = False,
    show: Callable[[Any, Any], Any] = lambda item, output: output,
    tell: Callable[[str], Any] = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Turn]:
    """Optimises images in `size` slots until they are finished, and yields every turn. Entries are taken when a slot is free.

    watch: compute all outputs in every turn. show(item, output): its result is kept whenever an image is shown. tell:
    receives messages. stop: ends the turn early when it becomes true.

    The result of an image depends on neither its slot nor the other images, to the bit, as long as `size` is the same;
    programs of another size round differently. Without enough device memory the run continues with half the slots, from
    where its images were; MemoryError if each device has one slot.
    """
    source, pool = iter(entries), SlotPool([None] * size)
    waiting: list[Slot] = []
    while True:
        free = len(pool.slots) - len(pool.active) - len(waiting)
        entering = itertools.islice(source, max(0, free))
        waiting = waiting + [Slot(entry, entry.progress or ImageProgress()) for entry in entering]
        if not waiting and not pool.active:
            return
        try:
            pool, waiting, turn = _turn(pool, waiting, program, rules, watch, show, stop, clock)
        except Exception as error:
            if not memory.is_exhausted(error):
                raise
            size = len(pool.slots) // program.devices // 2 * program.devices
            if not size:
                raise MemoryError('the device has not enough memory for a step of one image') from error
            tell(f'not enough memory for {len(pool.slots)} images at once; going on with {size}')
            pool, waiting = SlotPool([None] * size), [*pool.active.values(), *waiting]
        else:
            yield turn


def _turn(
    pool: SlotPool,
    waiting: list[Slot],
    program: Program,
    rules: StoppingRules,
    watch: bool,
    show: Callable[[Any, Any], Any],
    stop: Callable[[], bool],
    clock: Callable[[], float],
) -> tuple[SlotPool, list[Slot], Turn]:
    """Fills free slots, advances all until the next check of an image, and frees the slots of finished images.

    The given `SlotPool` is not changed, but the device memory of its state is reused.
    """
    began = clock()
    pool, waiting = _filled(pool, waiting, program)
    length = min(rules.until_check(slot.progress.steps) for slot in pool.active.values())
    state, losses, length = _advance(pool, program, length, min(PIECE, rules.interval), stop)
    seconds = computing = clock() - began
    host = jax.tree.map(np.array, state)  # copies, since the next step reuses the memory of this state
    share = seconds / len(pool.active)
    moved = {
        place: _moved(slot, _row(host, place), losses[:, place], share, rules) for place, slot in pool.active.items()
    }
    ended = {place for place, slot in moved.items() if _is_finished(slot.progress, rules)}
    shown = {place for place, slot in moved.items() if rules.shows(slot.progress.steps, place in ended)}
    output = None
    if watch or ended or shown:
        codes, began = (state.codes if rules.keep == 'last' else state.best_codes), clock()
        output = jax.device_get(program.finish(codes, pool.target, *program.shared))
        computing += clock() - began
    moved |= {place: _shown(moved[place], show(moved[place].entry.item, _row(output, place))) for place in shown}
    images = [
        _image(slot, _row(output, place), float(losses[-1, place]), place in ended, rules)
        for place, slot in moved.items()
    ]
    slots = [
        _compared(moved[place], rules) if place in moved.keys() - ended else None for place in range(len(pool.slots))
    ]
    after = SlotPool(slots, state, pool.target)
    left = [*after.active.values(), *(slot for slot in waiting if slot.progress.steps)]
    return after, waiting, Turn(images, left, length, seconds, computing)


def _filled(pool: SlotPool, waiting: list[Slot], program: Program) -> tuple[SlotPool, list[Slot]]:
    """-> (the pool with images in its free slots, the images that still wait).

    The initial state is computed for all slots and selected slot by slot, which needs one program for any set of free
    slots. Empty slots hold a copy of an image."""
    free = [place for place, slot in enumerate(pool.slots) if slot is None]
    entering = dict(zip(free, waiting, strict=False))
    if not entering:
        return pool, waiting
    slots = [entering.get(place, slot) for place, slot in enumerate(pool.slots)]
    starts = [entering.get(place, waiting[0]).entry.start for place in range(len(slots))]
    state, target = program.begin(jax.tree.map(lambda *rows: np.concatenate(rows), *starts), *program.shared)
    state = _resumed(program, state, entering)
    if pool.state is not None:
        chosen = np.isin(np.arange(len(slots)), list(entering))
        state, target = _replace((pool.state, pool.target), (state, target), chosen)
    return SlotPool(slots, state, target), waiting[len(entering) :]


def _resumed(program: Program, state: inversion.State, entering: dict[int, Slot]) -> inversion.State:
    """`state` with the states of images that continue from an earlier run or a larger pool."""
    begun = {place: slot.progress.state for place, slot in entering.items() if slot.progress.state is not None}
    if not begun:
        return state

    def put(leaf, *rows):
        leaf = np.array(leaf)
        leaf[list(begun)] = rows
        return leaf

    return program.place(jax.tree.map(put, state, *begun.values()))


def _advance(
    pool: SlotPool, program: Program, length: int, piece: int, stop: Callable[[], bool]
) -> tuple[inversion.State, np.ndarray, int]:
    """-> (state, losses [steps B], steps); fewer steps than `length` if `stop` became true.

    Runs programs of `piece` steps, and the rest step by step: accelerators compile two programs instead of one for every
    length. On CPUs all steps are single.
    """
    state, done, losses = pool.state, 0, []
    if execution.is_on_cpu(state.step):
        piece = 1
    while done < length and not (done and stop()):
        steps = piece if length - done >= piece else 1
        state, loss = execution.repeat_step(program.step, state, pool.target, *program.shared, num_steps=steps)
        losses.append(np.asarray(loss))
        done += steps
    return state, np.concatenate(losses), done


def _moved(slot: Slot, state: inversion.State, losses: np.ndarray, seconds: float, rules: StoppingRules) -> Slot:
    before = slot.progress
    sound = losses if state.failed_at < 0 else losses[: max(0, state.failed_at - before.steps)]
    kept = [(step, float(loss)) for step, loss in enumerate(sound, before.steps) if step % rules.curve_every == 0]
    return slot._replace(
        progress=before._replace(
            state=state,
            steps=before.steps + len(losses),
            seconds=before.seconds + seconds,
            losses=(*before.losses, *kept),
        )
    )


def _shown(slot: Slot, what: Any) -> Slot:
    now = slot.progress
    return slot._replace(progress=now._replace(shown=(*now.shown, (now.steps, what))))


def _is_finished(now: ImageProgress, rules: StoppingRules) -> bool:
    if now.steps >= rules.num_steps or now.state.failed_at >= 0:
        return True
    if not rules.tolerance or now.steps % rules.interval or math.isinf(now.compared):
        return False
    return bool(now.compared - now.state.best_loss <= rules.tolerance * now.compared)


def _compared(slot: Slot, rules: StoppingRules) -> Slot:
    if slot.progress.steps % rules.interval:
        return slot
    return slot._replace(progress=slot.progress._replace(compared=float(slot.progress.state.best_loss)))


def _image(slot: Slot, output: Any, loss: float, finished: bool, rules: StoppingRules) -> SlotImage:
    now = slot.progress
    failed_at = int(now.state.failed_at)
    last = rules.keep == 'last'
    codes = now.state.codes if last else now.state.best_codes
    loss = loss if last and failed_at < 0 else float(now.state.best_loss)
    steps = now.steps if failed_at < 0 else failed_at
    left = rules.num_steps - now.steps
    return SlotImage(
        slot.entry.item, codes, output, loss, failed_at, steps, left, now.seconds, finished, now.losses, now.shown
    )


def _row(tree: Any, place: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[place], tree)
