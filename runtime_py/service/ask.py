"""Ask a Wyoming service one text, as Home Assistant does, and print its answer.

python -m runtime_py.service.ask tcp://127.0.0.1:10500 "turn off the kitchen light"
"""

import asyncio
import json
import sys
from collections.abc import Sequence

from runtime_py.errors import ParserError, ServiceError
from runtime_py.service.settings import WYOMING_NEEDS, require_service
from runtime_py.streams import complain, open_streams, write_line
from runtime_py.terminal import printable_json

_PATIENCE = 60.0  # seconds until a service that is just starting listens, and until it answers
_AGAIN = 0.2


async def ask(uri: str, text: str, language: str | None = None, patience: float = _PATIENCE) -> dict[str, object]:
    """Return the type and the data of the answer; a service that does not listen yet is waited for.

    Raises:
        ServiceError: Nothing listens there, or it does not answer.
    """
    from wyoming.asr import Transcript
    from wyoming.client import AsyncClient

    reason = ""
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    async with AsyncClient.from_uri(uri) as client:
                        await client.write_event(Transcript(text=text, language=language).event())
                        event = await client.read_event()
                        intents: list[dict[str, object]] = []
                        while event is not None and event.type == "intents-start":
                            inside = await client.read_event()
                            if inside is None or inside.type == "intents-stop":
                                return {"type": "intents", "intents": intents}
                            intents.append(inside.data)
                except (OSError, ValueError) as error:
                    reason = str(error)
                    if isinstance(error, ValueError):
                        break
                    await asyncio.sleep(_AGAIN)
                    continue
                if event is not None:
                    return {"type": event.type, **event.data}
                reason = "it hung up"
                break
    except TimeoutError:
        reason = reason or "no answer came"
    raise ServiceError(f"{uri}: {reason}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print, and return the exit code: 0 for intents, 1 for what is not recognized, 2 for an error."""
    open_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if len(given) not in (2, 3):
            raise ServiceError("expected URI TEXT [LANGUAGE], such as tcp://127.0.0.1:10500 'turn on the light' en.")
        require_service(*WYOMING_NEEDS)
        answer = asyncio.run(ask(given[0], given[1], given[2] if len(given) == 3 else None))
        write_line(printable_json(json.dumps(answer, ensure_ascii=False)))
    except ParserError as error:
        complain(f"error: {error}")
        return 2
    return {"intent": 0, "intents": 0, "not-recognized": 1}.get(str(answer["type"]), 2)


if __name__ == "__main__":
    sys.exit(main())
