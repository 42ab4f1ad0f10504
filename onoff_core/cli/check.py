"""`onoff check`: read the settings and say what was understood."""

import argparse
from typing import Any

from onoff_core.cli import check_overlap
from onoff_core.cli.printing import table
from onoff_core.errors import DatasetError, ModelError, SettingsError
from onoff_core.study import AUTO, Study, load_study
from onoff_core.study.thinking import OWN_TEMPLATES


def add(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="read onoff.yaml and say what was understood",
        description="Check the settings: every key, whether the files, folders and packages that are named are there, "
        "every row of the data sets in files, and of models on this machine what loading would refuse. Nothing is "
        "asked of the hub, and no model is loaded. --overlap instead looks for problems that several data sets have.",
    )
    check_overlap.add_arguments(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    study = load_study()
    if args.overlap:
        return check_overlap.run(args, study)
    if given := check_overlap.given(args):
        raise SettingsError(f"{given[0]} goes with --overlap")
    print(f"{study.config_path}: {len(study.partitions)} partitions\n")
    wrong = [*_datasets(study), *_models(study), *_references(study), *_thinking(study)]
    print(f"\nstore: {study.store_path}")
    for files, folder in (
        ("results.json and statistics.json", study.outputs.results),
        ("distributions.json and distributions.npz", study.outputs.distributions),
    ):
        if folder is not None:
            print(f"{files} are also written to {folder}")
    if study.results_file is not None:
        print(f"samples are those of {study.results_file}")
    if study.notes:
        print("\nread otherwise than by the scripts, or as they did where the file does not say:")
        print("".join(f"  {note}\n" for note in study.notes))
    if wrong:
        raise SettingsError("\n".join(f"{study.config_path}: {what}" for what in wrong))
    print("next: onoff status")
    return 0


def _datasets(study: Study) -> list[str]:
    """Print where the problems come from; what is wrong."""
    from onoff_core.problems.loading import load_problems, problems_source

    rows, wrong = [], []
    for name, settings in study.datasets.items():
        try:
            source = problems_source(name, settings, study.base_dir)
            if settings.path or settings.data_dir:
                load_problems(name, settings, study.base_dir)
        except DatasetError as error:
            source = "?"
            wrong.append(f"dataset {name}: {error}")
        count = "all" if settings.num_examples is None else str(settings.num_examples)
        rows.append([name, settings.split, count, source])
    print(table(["dataset", "split", "problems", "from"], rows) + "\n")
    return wrong


def _models(study: Study) -> list[str]:
    """Print where the weights come from; what is wrong."""
    from onoff_core.backends import what_loading_refuses
    from onoff_core.backends.identity import model_source

    rows, wrong = [], []
    for name, settings in study.models.items():
        asking = study.partitions.values()
        templates = {partition.task.template_type for partition in asking if partition.model == name}
        templates |= {
            partition.judge.template_type for partition in asking if partition.judge and partition.judge.name == name
        }
        needs_template = bool(templates & {"model", "openai"})
        try:
            source = model_source(settings, study.base_dir)
            if settings.backend_specific.endpoints:
                source += f" at {', '.join(settings.backend_specific.endpoints)}"
            refused = what_loading_refuses(settings, study.base_dir, needs_template=needs_template)
        except ModelError as error:
            source, refused = "?", [str(error)]
        wrong += [f"model {name}: {what}" for what in refused]
        rows.append([name, source])
    print(table(["model", "weights"], rows))
    return wrong


def _thinking(study: Study) -> list[str]:
    """What is wrong with what is said of thinking and of templates' arguments, as far as the model is on this machine;
    what is only to be known is printed.
    """
    from onoff_core.backends import open_tokenizer
    from onoff_core.backends.identity import model_source
    from onoff_core.sampling import thinking_plan

    wrong: dict[str, None] = {}
    notes: dict[str, None] = {}
    tokenizers: dict[str, Any] = {}
    for one in study.partitions.values():
        task = one.task
        asks = (
            task.thinking == AUTO,
            task.chat_template is not None,
            one.sampling.thinking_budget is not None,
            bool(task.examples) and task.template_type in OWN_TEMPLATES,
        )
        try:
            if not any(asks) or model_source(one.model_settings, one.base_dir).startswith("hub: "):
                continue
            if one.model not in tokenizers:
                tokenizers[one.model] = open_tokenizer(one.model, one.model_settings, one.base_dir)
        except ModelError:  # it has been said of the model
            continue
        try:
            warnings = thinking_plan(tokenizers[one.model], task, one.sampling).warnings
        except ModelError as error:
            wrong[f"model {one.model}: {error}"] = None
        else:
            notes |= {f"model {one.model}: {warning}": None for warning in warnings}
    if notes:
        print("\n" + "\n".join(notes))
    return list(wrong)


def _references(study: Study) -> list[str]:
    """What is wrong with the models that score other models' texts, as far as both are on this machine."""
    from onoff_core.backends import open_tokenizer
    from onoff_core.backends.identity import model_source
    from onoff_core.cross.vocabulary import compare_vocabularies

    pairs = {
        (one.model, reference.name): reference.settings
        for one in study.partitions.values()
        for reference in one.references
        if one.cross.other_tokenizer == "refuse"
    }
    wrong = []
    for (name, other), settings in pairs.items():
        both = {name: study.models[name], other: settings}
        try:
            if any(model_source(one, study.base_dir).startswith("hub: ") for one in both.values()):
                continue
            first, second = (open_tokenizer(model, one, study.base_dir).vocabulary for model, one in both.items())
        except ModelError:  # it has been said of the model
            continue
        reason = compare_vocabularies(first, second).reason_against
        if reason is not None:
            wrong.append(
                f"model {name}: {other} cannot score its texts, for the tokenizers differ: {reason}; take it out, or "
                "set cross.other_tokenizer: text"
            )
    return wrong
