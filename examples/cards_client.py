"""Play Crazy Eights (cards.py) in a terminal.

python cards_client.py Ada
python cards_client.py Bob --url ws://127.0.0.1:8765/eights
python cards_client.py Cy --private          and the others with --invite and the code that it shows
"""

from __future__ import annotations

import sys

import click
import trio

import gameclient
from gameclient import Replica

RANKS = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A")
SUITS = ("clubs", "diamonds", "hearts", "spades")
HELP = "start, a card's number (and behind an eight's a suit, as in 3 hearts), draw, pass, quit"


def hand(world: Replica) -> list[int]:
    """The faces of the player's own cards, sorted; those of others are not even known here."""
    return sorted(card.face for card in world["Card"] if card.mine)


def name_of(face: int) -> str:
    return f"{RANKS[face % 13]} {SUITS[face // 13]}"


def picture(world: Replica) -> str:
    """The table and the player's hand, as text."""
    table, lines = world.state, [""]
    for seat in world["Seat"]:
        turn = ">" if table.playing and seat.owner == table.turn else " "
        marks = " (you)" * seat.mine + " (away)" * seat.away
        lines.append(f"{turn} {seat.name}{marks}: {seat.cards} cards")
    if table.playing:
        lines.append(f"on top: {name_of(table.top)}, to follow: {SUITS[table.suit]}; {table.stock} cards to draw")
        lines.append("   ".join(f"{number}: {name_of(face)}" for number, face in enumerate(hand(world), 1)))
    else:
        lines.append(f"{table.winner} has won!" if table.winner else "waiting: say start when all are here")
    return "\n".join(lines)


def read_command(line: str, faces: list[int]) -> tuple[str, dict[str, int] | None]:
    """What to ask the room for, with which payload; ValueError when the line says nothing of the kind."""
    number, *suits = line.lower().split() or [""]
    if number in ("start", "draw", "pass") and not suits:
        return number, None
    if not number.isdecimal() or not 1 <= int(number) <= len(faces) or not set(suits) <= set(SUITS) or len(suits) > 1:
        raise ValueError(HELP)
    play = {"face": faces[int(number) - 1]}
    return "play", {**play, "suit": SUITS.index(suits[0])} if suits else play


async def obey(session: gameclient.TrioSession, over: trio.CancelScope) -> None:
    """Read lines, and ask the room for what they say."""
    while (line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)) and line != "quit\n":
        try:
            kind, payload = read_command(line, hand(session.world))
            await session.request(kind, payload)
        except (ValueError, gameclient.ClientError) as error:
            print(error)
    over.cancel()


async def show(session: gameclient.TrioSession) -> None:
    """Print what happens, until it is over."""
    async for event in session.events():
        match event:
            case gameclient.FrameApplied():
                print(picture(session.world))
            case gameclient.MessageReceived(kind, payload):
                print(f"{kind}: {payload}")
            case gameclient.Dropped(reason=reason) | gameclient.Disconnected(reason=reason):
                print(reason)


@click.command()
@click.argument("name")
@click.option("--url", default="ws://127.0.0.1:8765/eights", show_default=True)
@click.option("--private", is_flag=True, help="Have a private room made.")
@click.option("--invite", default="", help="Code of a private room.")
def main(name: str, url: str, private: bool, invite: str) -> None:
    async def play() -> None:
        method, options = ("create", {"private": True}) if private else ("join_or_create", {})
        connection = gameclient.connect(url, name=name, method=method, options=options, invite=invite)
        async with connection as session, trio.open_nursery() as nursery:
            print(HELP)
            nursery.start_soon(obey, session, nursery.cancel_scope)
            await show(session)
            nursery.cancel_scope.cancel()

    trio.run(play)


if __name__ == "__main__":
    main()
