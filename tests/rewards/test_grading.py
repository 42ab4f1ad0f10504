"""Order, classes and gold answers."""

from collections.abc import Iterator

import pytest

from onoff_core.rewards import Grader, GradingTask


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader("boxed", num_workers=1, deadline_seconds=20) as grader:
        yield grader


def boxed(*answers: str, gold: str, problem: str | None = "p") -> list[GradingTask]:
    return [GradingTask(f"\\boxed{{{answer}}}" if answer else "none", gold, problem) for answer in answers]


def test_verdicts_come_in_order_and_are_all_counted(grader: Grader) -> None:
    tasks = [GradingTask(f"\\boxed{{{number % 7}}}", str(number % 5), None) for number in range(150)]
    counts: list[int] = []
    verdicts = grader.grade(tasks, counts.append)
    assert [verdict.reward for verdict in verdicts] == [int(n % 7 == n % 5) for n in range(150)]
    assert [verdict.extracted_answer for verdict in verdicts] == [str(n % 7) for n in range(150)]
    assert sum(counts) == 150


def test_no_tasks(grader: Grader) -> None:
    assert grader.grade([]) == []


def test_equal_answers_share_a_class(grader: Grader) -> None:
    tasks = boxed(r"\frac{1}{2}", "3", "0.5", "3.0", "", r"\frac{6}{2}", "x+1", "1+x", "x", gold=r"\frac12")
    classes = [verdict.answer_class for verdict in grader.grade(tasks)]
    assert classes[0] == classes[2] == 0
    assert classes[4] is None
    three, expression = classes[1], classes[6]
    assert classes[3] == classes[5] == three
    assert classes[7] == expression
    assert len({0, three, expression, classes[8]}) == 4


@pytest.mark.parametrize(
    ("gold", "answers", "classes"),
    [
        # a gold answer without a unit: no answer has one, so 60 minutes are 60
        ("7", ("60", r"60\text{ minutes}", r"1\text{ hour}", "1", r"60^\circ", r"\frac{\pi}{3}"), [1, 1, 2, 2, 1, 3]),
        # a gold answer with a unit: an answer without one takes it, and the others convert
        (r"7\text{ minutes}", ("60", r"60\text{ minutes}", r"1\text{ hour}", "1"), [1, 1, 1, 2]),
        (r"7^\circ", ("60", r"60^\circ", r"\frac{\pi}{3}\text{ rad}"), [1, 1, 1]),
        (r"7\text{ minutes}", (r"420\text{ seconds}", "7", r"7\text{ hours}"), [0, 0, 1]),
    ],
)
def test_classes_are_formed_in_the_unit_of_the_gold_answer(
    grader: Grader, gold: str, answers: tuple[str, ...], classes: list[int]
) -> None:
    """60 equals 60 degrees, and 60 degrees equal pi/3, but 60 is not pi/3: there would be no classes by that alone."""
    assert [verdict.answer_class for verdict in grader.grade(boxed(*answers, gold=gold))] == classes
    backwards = grader.grade(boxed(*answers[::-1], gold=gold))
    groups = [{place for place, one in enumerate(classes) if one == number} for number in set(classes)]
    found = [verdict.answer_class for verdict in backwards][::-1]
    assert all(len({found[place] for place in group}) == 1 for group in groups)
    assert len(set(found)) == len(groups)


def test_sentences_have_the_class_of_what_they_state(grader: Grader) -> None:
    answers = ("8", r"\text{The answer is } 8", r"\text{eight}", "x=8", r"\textbf{(B) } 8", "9")
    assert [verdict.answer_class for verdict in grader.grade(boxed(*answers, gold="5"))] == [1, 1, 1, 1, 1, 2]


def test_classes_are_numbered_by_what_was_given_first(grader: Grader) -> None:
    answers = [str(number % 9) for number in range(1, 60)]
    verdicts = grader.grade(boxed(*answers, gold="100"))
    assert [verdict.answer_class for verdict in verdicts] == [(number - 1) % 9 + 1 for number in range(1, 60)]


def test_a_choice_between_boxes_is_no_answer_unless_it_makes_no_difference(grader: Grader) -> None:
    tasks = [GradingTask(rf"Either \boxed{{2}} or \boxed{{{other}}}.", "2", other) for other in ("5", "2.0")]
    undecided, same = grader.grade(tasks)
    assert (undecided.status, undecided.reward, undecided.extracted_answer, undecided.answer_class) == (
        "no_answer", 0, None, None
    )  # fmt: skip
    assert undecided.reason == "boxes that are alternatives in the response"
    assert (same.status, same.reward) == ("correct", 1)


def test_problems_have_classes_of_their_own(grader: Grader) -> None:
    verdicts = grader.grade([*boxed("7", gold="1", problem="a"), *boxed("8", gold="1", problem="b")])
    assert [verdict.answer_class for verdict in verdicts] == [1, 1]


def test_an_unparsed_gold_answer_is_never_the_models_mistake(grader: Grader) -> None:
    verdicts = grader.grade(boxed("1", "", gold=r"\frac{1"))
    assert [(v.status, v.reward, v.answer_class) for v in verdicts] == [("gold_unparsed", None, None)] * 2


def test_gold_is_the_first_argument(grader: Grader) -> None:
    """A gold point may have a name that its answer leaves out; a gold answer without one asks for none."""
    forth, back = grader.grade([*boxed("(1,2)", gold="A(1,2)"), *boxed("A(1,2)", gold="(1,2)", problem="q")])
    assert (forth.status, back.status) == ("correct", "wrong")


def test_an_equation_states_a_value_for_a_name_only(grader: Grader) -> None:
    forth, back = grader.grade([*boxed("2x+3", gold="y=2x+3"), *boxed("x^2+y^2=13", gold="13", problem="q")])
    assert (forth.status, back.status) == ("correct", "wrong")
    assert grader.grade(boxed("13", gold="x^2+y^2=13"))[0].status == "wrong"


def test_what_nests_too_deep_to_be_read_ends_no_process(grader: Grader, capfd: pytest.CaptureFixture[str]) -> None:
    deep = r"\sqrt{" * 1000 + "2" + "}" * 1000
    assert [verdict.status for verdict in grader.grade(boxed(deep, "5", gold="5"))] == ["wrong", "correct"]
    assert [verdict.status for verdict in grader.grade(boxed("5", gold=deep))] == ["gold_unparsed"]
    assert "RecursionError" not in capfd.readouterr().err
