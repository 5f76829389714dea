"""A window for the bundled arena: fly, shoot, and read how a pygame program plays on a Tickwire server.

    python examples/pygame_arena.py [URL] [--name NAME]     a server's arena, ws://127.0.0.1:8765/arena by default
    python examples/pygame_arena.py --local                 a server of your own, in a thread of this program

Arrow keys or WASD fly, space shoots, Escape quits.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pygame

import gameclient

WORLD = 2000.0  # width and height of the arena, whose edges wrap
SIZE = WIDTH, HEIGHT = 1180, 740
SHIP = [(17, 0), (-12, 10), (-7, 0), (-12, -10)]  # outline, nose to the right
SKY, PANEL, DIM, TEXT = (9, 11, 22), (22, 27, 46), (126, 138, 170), (226, 232, 246)
MINE, ROCK, SHOT, GOOD, BAD = (112, 226, 255), (122, 116, 132), (255, 232, 150), (98, 214, 140), (255, 96, 96)
OTHERS = [(255, 158, 100), (187, 154, 247), (158, 206, 106), (247, 118, 142), (224, 175, 104), (240, 220, 90)]


def wrapped(distance: float) -> float:
    """The shortest way round the world for a way along one axis."""
    return (distance + WORLD / 2) % WORLD - WORLD / 2


class Smooth:
    """Motion between the states that the server sends: 20 of them a second become as many as the window shows.

    The world is shown a little in the past, between two states that are known. ``shown`` is that time in ticks; it runs
    by the window's clock and is drawn gently to where it should be, so that late and early frames are not seen.
    """

    DELAY = 1.6  # ticks behind the newest state

    def __init__(self) -> None:
        self.states: deque[tuple[int, dict[str, dict[int, tuple[float, float, float]]]]] = deque(maxlen=16)
        self.shown = 0.0

    def remember(self, session: gameclient.Session) -> None:
        """Keep where everything is; whole columns are read faster than row by row."""
        places = {}
        for name in ("Ship", "Bullet", "Asteroid"):
            table = session.world[name]
            x, y = table.column("x").tolist(), table.column("y").tolist()
            heading = table.column("heading").tolist() if name == "Ship" else [0.0] * len(x)
            places[name] = dict(zip(table.ids.tolist(), zip(x, y, heading, strict=True), strict=True))
        self.states.append((session.tick, places))

    def advance(self, session: gameclient.Session, seconds: float) -> None:
        """Let ``seconds`` pass."""
        wanted = session.tick + (session.stats.frame_age or 0.0) * session.tick_rate - self.DELAY
        self.shown += seconds * session.tick_rate
        error = wanted - self.shown
        self.shown += error if abs(error) > 10 else error * min(1.0, 3 * seconds)

    def entities(self, session: gameclient.Session, name: str) -> Iterator[tuple[gameclient.Row, float, float, float]]:
        """Each entity with where it is at the time shown: row, x, y, heading."""
        if not self.states:
            return
        earlier = later = self.states[0]
        for state in self.states:
            earlier, later = later, state
            if state[0] >= self.shown:
                break
        share = max(0.0, min(1.0, (self.shown - earlier[0]) / max(1, later[0] - earlier[0])))
        for id, (x, y, heading) in earlier[1][name].items():
            x1, y1, heading1 = later[1][name].get(id, (x, y, heading))
            dx, dy = wrapped(x1 - x), wrapped(y1 - y)
            if math.hypot(dx, dy) > 200:  # back from the dead somewhere else
                dx = dy = 0.0
            turn = (heading1 - heading + math.pi) % math.tau - math.pi
            place = (x + dx * share) % WORLD, (y + dy * share) % WORLD, heading + turn * share
            yield gameclient.Row(session.world[name], id), *place


@dataclass
class Spark:
    at: pygame.Vector2
    speed: pygame.Vector2  # units per second
    left: float  # seconds
    colour: tuple[int, int, int]


class Window:
    """Draws a session."""

    def __init__(self, session: gameclient.Session) -> None:
        self.session = session
        self.smooth = Smooth()
        self.screen = pygame.display.set_mode(SIZE)
        self.small, self.font, self.large = (pygame.font.Font(None, size) for size in (20, 24, 46))
        self.camera = (WORLD / 2, WORLD / 2)
        self.sparks: list[Spark] = []
        self.lines: deque[tuple[float, str]] = deque(maxlen=6)  # what was said, and when
        chance = random.Random(1)
        self.stars = [(chance.random() * WIDTH, chance.random() * HEIGHT, chance.choice((1, 1, 2))) for _ in range(170)]

    def say(self, text: str) -> None:
        self.lines.append((time.monotonic(), text))

    def take(self, event: gameclient.Event) -> None:
        """Look at what the session tells."""
        match event:
            case gameclient.FrameApplied():
                self.smooth.remember(self.session)
                for rock in event.despawned("Asteroid"):
                    self.burst(rock.x, rock.y, 14, ROCK)
            case gameclient.MessageReceived("destroyed", [who, by]):
                self.say(f"{who} was destroyed by {by or 'a rock'}")
                for ship in self.session.world["Ship"]:
                    if ship.name == who:
                        self.burst(ship.x, ship.y, 46, (255, 176, 92))
            case gameclient.MessageReceived("chat", [who, text]):
                self.say(f"{who}: {text}")
            case gameclient.MessageReceived("round over", [number, who, score]):
                self.say(f"{who} wins round {number} with {score} points")
            case gameclient.Dropped(_, reason):
                self.say(f"connection lost: {reason}")
            case gameclient.Returned(_, seconds_away):
                self.say(f"back after {seconds_away:.1f} s")

    def burst(self, x: float, y: float, count: int, colour: tuple[int, int, int]) -> None:
        for _ in range(count):
            speed = pygame.Vector2(random.uniform(20, 190), 0).rotate(random.uniform(0, 360))
            self.sparks.append(Spark(pygame.Vector2(x, y), speed, random.uniform(0.3, 0.9), colour))

    def draw(self, seconds: float) -> None:
        """Draw everything; ``seconds`` have passed since the last time."""
        self.smooth.advance(self.session, seconds)
        ships = list(self.smooth.entities(self.session, "Ship"))
        for ship, x, y, _ in ships:
            if ship.mine or (self.session.spectator and ship == self.session.state.leader):
                self.camera = (x, y)
        self.screen.fill(SKY)
        self.draw_stars()
        for rock, x, y, _ in self.smooth.entities(self.session, "Asteroid"):
            self.draw_rock(rock, x, y)
        for _, x, y, _ in self.smooth.entities(self.session, "Bullet"):
            for radius, colour in ((6, (96, 78, 40)), (3, SHOT)):
                pygame.draw.circle(self.screen, colour, self.place(x, y), radius)
        self.draw_sparks(seconds)
        for ship, x, y, heading in ships:
            if ship.hp > 0:
                self.draw_ship(ship, x, y, heading)
        self.draw_scores([ship for ship, *_ in ships])
        self.draw_map(ships)
        self.draw_clock()
        self.draw_state()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the world is on the screen."""
        return WIDTH / 2 + wrapped(x - self.camera[0]), HEIGHT / 2 + wrapped(y - self.camera[1])

    def draw_stars(self) -> None:
        for x, y, size in self.stars:  # the further away, the slower they pass
            shift = 0.15 * size
            at = (x - self.camera[0] * shift) % WIDTH, (y - self.camera[1] * shift) % HEIGHT
            pygame.draw.circle(self.screen, (70, 78, 108) if size == 1 else (128, 138, 172), at, size)

    def draw_rock(self, rock: gameclient.Row, x: float, y: float) -> None:
        cx, cy = self.place(x, y)
        chance = random.Random(rock.id)
        turn = time.monotonic() * chance.uniform(-0.5, 0.5)
        points = []
        for i in range(11):
            reach, angle = rock.radius * chance.uniform(0.82, 1.08), turn + i * math.tau / 11
            points.append((cx + math.cos(angle) * reach, cy + math.sin(angle) * reach))
        pygame.draw.polygon(self.screen, (44, 42, 56), points)
        pygame.draw.polygon(self.screen, (52, 50, 66), [(x + (cx - x) / 3, y + (cy - y) / 3 - 3) for x, y in points])
        pygame.draw.aalines(self.screen, ROCK, True, points)

    def draw_ship(self, ship: gameclient.Row, x: float, y: float, heading: float) -> None:
        cx, cy = self.place(x, y)
        cos, sin = math.cos(heading), math.sin(heading)

        def turned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
            return [(cx + px * cos - py * sin, cy + px * sin + py * cos) for px, py in points]

        if ship.thrusting:
            length = random.uniform(18, 30)
            pygame.draw.polygon(self.screen, (255, 120, 48), turned([(-8, 6), (-8 - length, 0), (-8, -6)]))
            pygame.draw.polygon(self.screen, (255, 226, 140), turned([(-8, 3), (-8 - length / 2, 0), (-8, -3)]))
        colour = self.colour(ship)
        outline = turned(SHIP)
        pygame.draw.polygon(self.screen, tuple(part // 3 for part in colour), outline)
        pygame.draw.aalines(self.screen, colour, True, outline)
        self.write(self.small, ship.name, TEXT if ship.mine else DIM, (cx, cy - 34))
        for width, bar in ((40, PANEL), (0.4 * ship.hp, GOOD if ship.hp > 35 else BAD)):
            pygame.draw.rect(self.screen, bar, (cx - 20, cy + 24, width, 5), border_radius=2)

    def draw_sparks(self, seconds: float) -> None:
        self.sparks = [spark for spark in self.sparks if spark.left > 0]
        for spark in self.sparks:
            spark.at += spark.speed * seconds
            spark.left -= seconds
            colour = tuple(round(part * min(1.0, max(0.0, spark.left) * 2)) for part in spark.colour)
            pygame.draw.circle(self.screen, colour, self.place(spark.at.x, spark.at.y), 2)

    def colour(self, ship: gameclient.Row) -> tuple[int, int, int]:
        return MINE if ship.mine else OTHERS[ship.owner % len(OTHERS)]

    def write(self, font: pygame.Font, text: str, colour: Any, centre: tuple[float, float]) -> None:
        picture = font.render(text, True, colour)
        self.screen.blit(picture, picture.get_rect(center=centre))

    def panel(self, rect: pygame.Rect) -> None:
        surface = pygame.Surface(rect.size, pygame.SRCALPHA)
        pygame.draw.rect(surface, (*PANEL, 190), surface.get_rect(), border_radius=8)
        self.screen.blit(surface, rect)

    def draw_scores(self, ships: list[gameclient.Row]) -> None:
        best = sorted(ships, key=lambda ship: -ship.score)[:8]
        self.panel(pygame.Rect(16, 16, 210, 40 + 22 * len(best)))
        self.screen.blit(self.small.render("SCORES", True, DIM), (30, 28))
        for y, ship in zip(range(50, 999, 22), best, strict=False):
            self.screen.blit(self.font.render(ship.name[:16], True, self.colour(ship)), (30, y))
            points = self.font.render(str(ship.score), True, TEXT)
            self.screen.blit(points, (212 - points.get_width(), y))

    def draw_map(self, ships: list[tuple[gameclient.Row, float, float, float]]) -> None:
        area = pygame.Rect(WIDTH - 176, HEIGHT - 176, 160, 160)
        self.panel(area)
        dots = [((70, 70, 92), x, y) for _, x, y, _ in self.smooth.entities(self.session, "Asteroid")]
        for colour, x, y in dots + [(self.colour(ship), x, y) for ship, x, y, _ in ships]:
            pygame.draw.circle(self.screen, colour, (area.x + x * 160 / WORLD, area.y + y * 160 / WORLD), 2)

    def draw_clock(self) -> None:
        match = self.session.state
        if match is not None:
            clock = f"{match.seconds_left // 60}:{match.seconds_left % 60:02}"
            self.write(self.large, clock, TEXT, (WIDTH / 2, 36))
            self.write(self.small, f"ROUND {match.round}", DIM, (WIDTH / 2, 64))

    def draw_state(self) -> None:
        session, now = self.session, time.monotonic()
        if session.joined:
            age = session.stats.frame_age or 0.0
            late = f"  no news for {age:.1f} s" if age > 0.5 else ""
            state = f"{session.room}  {session.tick_rate:g} Hz  {(session.rtt or 0) * 1000:.0f} ms{late}"
            if session.reconnecting:
                self.panel(pygame.Rect(WIDTH // 2 - 190, HEIGHT // 2 - 40, 380, 80))
                self.write(self.large, "reconnecting ...", TEXT, (WIDTH / 2, HEIGHT / 2))
        else:
            state = session.close_reason if session.closed else "joining ..."
            self.write(self.font, state, BAD if session.closed else TEXT, (WIDTH / 2, HEIGHT / 2))
        self.screen.blit(self.small.render(state, True, DIM), (20, HEIGHT - 26))
        for i, text in enumerate(text for at, text in reversed(self.lines) if now - at < 8):
            self.screen.blit(self.font.render(text, True, TEXT), (20, HEIGHT - 56 - 24 * i))


def play(session: gameclient.Session, frames: int | None, screenshot: str | None) -> None:
    """The frame loop: events in, pump, draw, inputs out."""
    window, clock = Window(session), pygame.time.Clock()
    while frames is None or frames > 0:
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                return
        for told in session.pump():
            window.take(told)
        keys = pygame.key.get_pressed()
        left, right = keys[pygame.K_LEFT] or keys[pygame.K_a], keys[pygame.K_RIGHT] or keys[pygame.K_d]
        thrust = keys[pygame.K_UP] or keys[pygame.K_w]
        if not session.spectator:
            session.send_input(turn=float(right - left), thrust=thrust, shoot=keys[pygame.K_SPACE])
        window.draw(min(0.1, clock.tick(60) / 1000))
        pygame.display.flip()
        frames = None if frames is None else frames - 1
    if screenshot is not None:
        pygame.image.save(window.screen, screenshot)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8765/arena")
    parser.add_argument("--name", default="pilot", help="what others see")
    parser.add_argument("--watch", action="store_true", help="look on; the camera follows who leads")
    parser.add_argument("--local", action="store_true", help="play against a server in this program")
    parser.add_argument("--frames", type=int, help="end after so many pictures")
    parser.add_argument("--screenshot", help="save the last picture to this file")
    arguments = parser.parse_args()
    pygame.init()
    pygame.display.set_caption("Arena")
    with ExitStack() as stack:
        target: gameclient.TargetLike = arguments.url
        if arguments.local:
            from gameserver import serve_in_thread
            from gameserver.demo.arena import Arena

            target = stack.enter_context(serve_in_thread(Arena)).local()
        session = stack.enter_context(gameclient.open(target, name=arguments.name, spectate=arguments.watch))
        play(session, arguments.frames, arguments.screenshot)
    pygame.quit()


if __name__ == "__main__":
    main()
