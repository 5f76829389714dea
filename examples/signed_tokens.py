"""Only players with a signed token get in: PyJWT says who they are, before they have a seat.

    pip install 'tickwire[jwt]'
    export GAME_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    cd examples
    gameserver run signed_tokens:Lounge                  or another room: --authenticate signed_tokens:authenticate
    python signed_tokens.py token --name Ada             in a second terminal, with the same GAME_SECRET

Whoever logs your players in makes the tokens, here the command ``token``. Players can read them: put no secrets in.

With the keys of a login service (RS256) the game has no secret. Install ``pyjwt[crypto]``, make one
``KEYS = jwt.PyJWKClient("https://login.example/.well-known/jwks.json")``, and in ``authenticate`` write
``key = await trio.to_thread.run_sync(KEYS.get_signing_key_from_jwt, request.token)``, which may ask the network and so
must not run in the game's thread; then ``jwt.decode(request.token, key, algorithms=["RS256"], ...)``, and catch
``jwt.PyJWTError``. Never accept both algorithms: the public key would pass for the secret of HS256.
"""

from __future__ import annotations

import os
import sys
import time

import click
import jwt
import trio

import gameclient
from gameserver import Identity, JoinRequest, Player, Reject, Room

ALGORITHM = "HS256"  # ours to choose, never the token's: one that says "none" is signed by nobody
AUDIENCE = "my-game"  # so that a token for something else, signed with the same secret, does not open this door
LEEWAY_SECONDS = 10  # by which the clocks of the two machines may differ
SECRET = os.environ.get("GAME_SECRET", "")
if len(SECRET.encode()) < 32:
    sys.exit("GAME_SECRET must be set to 32 bytes or more: a shorter one can be guessed from a single token.")


async def authenticate(request: JoinRequest) -> Identity | Reject:
    """Who has shown this token; the reasons are read by players."""
    if not request.token:
        return Reject("log in first: this game takes only players with a token")
    rules = {"require": ["exp", "aud", "sub"]}  # otherwise a token that names no end would have none
    try:
        claims = jwt.decode(request.token, SECRET, [ALGORITHM], rules, audience=AUDIENCE, leeway=LEEWAY_SECONDS)
    except jwt.ExpiredSignatureError:
        return Reject("your token has expired: log in again")
    except jwt.InvalidTokenError:  # whatever else is wrong with it: the signature, the audience, the form
        return Reject("your token is not valid for this game: log in again")
    name = claims.get("name")
    return Identity(id=claims["sub"], name=name if isinstance(name, str) else "somebody")


class Lounge(Room):
    """Tells everybody who comes; the name is the token's, whatever the player calls itself."""

    @classmethod
    async def authenticate(cls, request: JoinRequest) -> Identity | Reject:
        return await authenticate(request)

    def on_join(self, player: Player) -> None:
        self.broadcast("joined", f"{player.name} is here, account {player.identity.id}")


@click.group()
def main() -> None:
    """Make a token, and join with it."""


@main.command()
@click.option("--name", default="Ada", show_default=True)
@click.option("--minutes", default=60.0, show_default=True, help="How long it is good for.")
def token(name: str, minutes: float) -> None:
    """Print a token, and the line to play with it: what a login service does."""
    claims = {"sub": name.lower(), "name": name, "aud": AUDIENCE, "exp": time.time() + 60 * minutes}
    made = jwt.encode(claims, SECRET, ALGORITHM)
    click.echo(f"{made}\n\nJoin with it: {sys.executable} {sys.argv[0]} join {made}")


@main.command()
@click.argument("token")
@click.option("--url", default="ws://127.0.0.1:8765/lounge", show_default=True)
def join(token: str, url: str) -> None:
    """Join with a token and print who comes, until Ctrl-C."""
    try:
        trio.run(listen, url, token)
    except gameclient.ConnectError as error:
        raise click.ClickException(str(error)) from None


async def listen(url: str, token: str) -> None:
    async with gameclient.connect(url, token=token) as session:  # token= is all that a client needs
        async for event in session.events():
            if isinstance(event, gameclient.MessageReceived):
                click.echo(event.payload)


if __name__ == "__main__":
    main()
