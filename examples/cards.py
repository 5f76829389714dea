"""Crazy Eights for two to five: hidden hands, and a room in which nothing happens until somebody does something.

    gameserver run cards:Eights          # in this folder; then, in two more terminals:
    python cards_client.py Ada
    python cards_client.py Bob

Put a card of the suit or the rank of the one on top; an eight fits always, and says which suit goes on. Who cannot, or
does not want to, draws one card and may put it or pass. Who has no card left has won.
"""

from __future__ import annotations

from typing import Annotated

from gameserver import (
    Entity,
    Message,
    Meta,
    Metadata,
    Player,
    RequestError,
    Room,
    State,
    Timer,
    boolean,
    handles,
    owner,
    text,
    uint,
)

RANKS = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A")
SUITS = ("clubs", "diamonds", "hearts", "spades")
EIGHT = RANKS.index("8")


class Card(Entity):  # one in a hand: all see that it is there, and whose it is
    face = uint(6, to=owner)  # suit * 13 + rank


class Seat(Entity):  # what all see of a player
    name = text(max_bytes=64)
    cards = uint(6)
    away = boolean()


class Table(State):
    playing = boolean()
    turn = uint(16)  # number of the player whose turn it is
    drawn = boolean()  # who has drawn a card already
    top = uint(6)  # the face on the discard pile
    suit = uint(2)  # to be followed; what an eight said
    stock = uint(6)  # how many cards are left to draw
    winner = text(max_bytes=64)


class Info(Metadata):  # what lobbies show
    playing: bool = False
    turn_seconds: Annotated[int, Meta(ge=5, le=300)] = 30


class Play(Message):
    face: Annotated[int, Meta(ge=0, le=51)]
    suit: Annotated[int, Meta(ge=0, le=3)] | None = None


class Eights(Room):
    tick_rate = None  # it ticks when somebody does something, or when a turn is over
    entities = (Card, Seat)
    state = Table
    metadata = Info
    max_players = 5
    allow_reconnection = 60

    def on_create(self) -> None:
        self.private = self.options.get("private") is True
        self.metadata.playing = False  # players may not choose this one
        self.stock: list[int] = []
        self.discarded: list[int] = []
        self.timer: Timer | None = None  # of the turn

    # -- players

    def on_join(self, player: Player) -> None:
        player.data = self.world.spawn(Seat, owner=player, name=player.name or f"player {player.number}")
        if self.private:
            player.send("invite", self.invite_code)

    def on_drop(self, player: Player, reason: str) -> None:
        player.data.away = True

    def on_return(self, player: Player) -> None:
        player.data.away = False

    def on_leave(self, player: Player, reason: str) -> None:
        for card in self.hand(player):
            self.stock.insert(0, card.face)
            self.world.despawn(card)
        self.world.despawn(player.data)
        self.state.stock = len(self.stock)
        others = [each for each in self.players if each is not player]
        if self.state.playing and len(others) == 1:
            self.win(others[0])
        elif self.state.playing and self.state.turn == player.number:
            self.next_turn(player)

    def hand(self, player: Player) -> list[Card]:
        return [card for card in self.world[Card] if card.owner is player]

    # -- what players may ask for

    @handles("start")
    def start(self, player: Player) -> None:
        if self.state.playing or self.player_count < 2:
            raise RequestError("not now", "it takes two, and one game at a time")
        self.locked = self.metadata.playing = self.state.playing = True
        self.stock = list(range(52))
        self.random.shuffle(self.stock)
        for each in self.players:
            for _ in range(7 if self.player_count == 2 else 5):
                self.deal(each)
        self.put(self.stock.pop(next(i for i, face in enumerate(self.stock) if face % 13 != EIGHT)))
        self.begin_turn(player)

    @handles("play")
    def play(self, player: Player, play: Play) -> None:
        self.check_turn(player)
        card = next((card for card in self.hand(player) if card.face == play.face), None)
        if card is None:
            raise RequestError("not yours", "this card is not in your hand")
        suit, rank = divmod(play.face, 13)
        if rank == EIGHT and play.suit is None:
            raise RequestError("name a suit", "an eight says which suit goes on")
        if rank != EIGHT and suit != self.state.suit and rank != self.state.top % 13:
            raise RequestError("does not fit", f"put {SUITS[self.state.suit]}, or a {RANKS[self.state.top % 13]}")
        self.world.despawn(card)
        player.data.cards -= 1
        self.put(play.face, play.suit if rank == EIGHT else None)
        if player.data.cards:
            self.next_turn(player)
        else:
            self.win(player)

    @handles("draw")
    def draw(self, player: Player) -> int:
        """One card; answers how many were left to draw."""
        self.check_turn(player)
        if self.state.drawn:
            raise RequestError("drawn already", "put a card, or pass")
        self.state.drawn = True
        self.deal(player)
        return len(self.stock)

    @handles("pass")
    def pass_turn(self, player: Player) -> None:
        self.check_turn(player)
        if not self.state.drawn:
            raise RequestError("draw first", "who passes has drawn a card")
        self.next_turn(player)

    def check_turn(self, player: Player) -> None:
        if not self.state.playing:
            raise RequestError("not now", "nobody plays")
        if self.state.turn != player.number:
            raise RequestError("not your turn", "wait for the others")

    # -- turns

    def deal(self, player: Player) -> None:
        if not self.stock:  # what was put is shuffled, but for the one on top
            self.stock, self.discarded = self.discarded[:-1], self.discarded[-1:]
            self.random.shuffle(self.stock)
        if self.stock:
            self.world.spawn(Card, owner=player, face=self.stock.pop())
            player.data.cards += 1
        self.state.stock = len(self.stock)

    def put(self, face: int, suit: int | None = None) -> None:
        self.discarded.append(face)
        self.state.top, self.state.suit = face, face // 13 if suit is None else suit
        self.state.stock = len(self.stock)

    def begin_turn(self, player: Player) -> None:
        self.state.turn, self.state.drawn = player.number, False
        self.stop_timer()
        self.timer = self.after(self.metadata.turn_seconds, self.time_is_up, player)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def next_turn(self, player: Player) -> None:
        """The turn goes to the one who joined after ``player``."""
        numbers = [each.number for each in self.players if each is not player]
        following = min((number for number in numbers if number > player.number), default=min(numbers))
        self.begin_turn(self.player(following))

    def time_is_up(self, player: Player) -> None:
        if not self.state.drawn:
            self.deal(player)
        self.broadcast("too slow", player.name)
        self.next_turn(player)

    def win(self, player: Player) -> None:
        self.state.playing, self.state.winner = False, player.data.name
        self.stop_timer()
        self.after(5, self.close, f"{player.data.name} has won")
