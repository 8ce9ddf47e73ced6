"""What the functions of a run are given: the values of other assets, config, context, resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.context import Context
from flowstone.errors import ResourceError
from flowstone.runner.failure import Failure, describe
from flowstone.runner.together import Together
from flowstone.runner.versions import read_inline

if TYPE_CHECKING:
    from flowstone.core.plan import Step
    from flowstone.runner.resources import Resources
    from flowstone.runner.run import Tools
    from flowstone.runner.step import Arguments
    from flowstone.runner.versions import Read


class Inputs:
    """Has what functions are given: ``at_hand`` what must be waited for, ``of`` the arguments."""

    def __init__(
        self,
        tools: Tools,
        resources: Resources,
        run_id: str,
        key: str | None,
        partition: object | None,
    ) -> None:
        self._logger, self._resources = tools.logger, resources
        self._run_id, self._key, self._partition = run_id, key, partition
        self._inline_values = Together(tools.store.inline_values)

    async def at_hand(self, step: Step, read: Read) -> tuple[Arguments, Failure | None]:
        """Have in memory what the function is given: the resources, or why there are none."""
        passed = [version for parameter, version in read if parameter]
        await read_inline([each for each in passed if not each.is_held], self._inline_values)
        try:
            return await self._resources.of(step.asset.resources), None
        except ResourceError as error:
            return {}, describe(error)

    def of(self, step: Step, read: Read, attempt: int, *, stored: bool) -> Arguments:
        """The arguments but for resources; ``stored`` prefers values to be loaded by who calls."""
        arguments = {name: version.claim(by_reference=stored) for name, version in read if name}
        parameters = step.asset.parameters
        for parameter in parameters if len(arguments) < len(parameters) else ():
            if parameter.kind == "config":
                arguments[parameter.name] = step.config.values[parameter.name]
            elif parameter.kind == "context":
                arguments[parameter.name] = self.context(step, attempt)
        return arguments

    def context(self, step: Step, attempt: int) -> Context:
        """The context of one attempt of a step."""
        name = (step.asset.maker or step.asset).name
        logger = self._logger(self._run_id, name, self._key)
        return Context(self._run_id, name, logger, self._partition, attempt)
